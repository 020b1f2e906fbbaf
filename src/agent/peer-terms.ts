/**
 * On what terms a Peer takes part: switched on or off, until when, and where to. Kilo's Peer resource has no fields for it,
 * so it is said in annotations of our own; Kilo's own agents do not know them.
 * What cannot be read closes: an unreadable end is over, an unreadable destination is none.
 * @module
 */
import { type Cidr, formatCidr, hostCidr, network, parseAddress, parseCidr } from '../noise/ip.ts';
import type { PeerResource } from './kubernetes/resources.ts';

const PREFIX = 'kilowire.dev/';
/** "false": the Peer stays in the cluster and takes no part. */
export const ENABLED = `${PREFIX}enabled`;
/** RFC 3339: from then on it takes no part. */
export const EXPIRES = `${PREFIX}expires`;
/** Comma-separated ranges, addresses and services (namespace/name): it reaches these and nothing else. */
export const ALLOW = `${PREFIX}allow`;

/** Where a bounded Peer may send to: a range, or the addresses a Service has at the moment. */
export type Allowed = { readonly range: Cidr } | { readonly service: string };

export interface PeerTerms {
  readonly enabled: boolean;
  /** Unix seconds; null: it does not end. */
  readonly expires: number | null;
  /** Null: no bound. */
  readonly allow: readonly Allowed[] | null;
  /** What was written but could not be read, as sentences. */
  readonly faults: readonly string[];
}

export const peerTerms = ({ metadata }: Pick<PeerResource, 'metadata'>): PeerTerms => {
  const { [ENABLED]: enabled, [EXPIRES]: expires, [ALLOW]: allow } = metadata.annotations ?? {};
  const faults: string[] = [];
  return {
    enabled: enabled === undefined || enabled === 'true',
    expires: expires === undefined ? null : endOf(expires, faults),
    allow: allow === undefined ? null : allowedOf(allow, faults),
    faults,
  };
};

/** Whether it takes part at this moment, in Unix seconds. */
export const isInForce = ({ enabled, expires }: PeerTerms, now: number): boolean =>
  enabled && (expires === null || now < expires);

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** Unix seconds of an RFC 3339 time, or null. */
export const parseTime = (text: string): number | null => {
  const ms = RFC3339.test(text) ? Date.parse(text.toUpperCase()) : Number.NaN;
  return Number.isNaN(ms) ? null : Math.floor(ms / 1000);
};

/** RFC 3339 in UTC, to the second. */
export const formatTime = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');

const endOf = (text: string, faults: string[]): number => {
  const end = parseTime(text);
  if (end !== null) return end;
  faults.push(
    `The annotation ${EXPIRES} counts as over: "${shown(text)}" is no time; write it as 2027-01-31T12:00:00Z.`,
  );
  return 0;
};

const allowedOf = (text: string, faults: string[]): Allowed[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .flatMap((part) => {
      const allowed = parseAllowed(part);
      if (allowed !== null) return [allowed];
      faults.push(
        `The annotation ${ALLOW} allows nothing by "${shown(part)}": write a range (10.42.0.0/16), an address, or a service (namespace/name).`,
      );
      return [];
    });

const shown = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);

// RFC 1123 labels, as namespaces and services are named.
const SERVICE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\/[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** "10.42.0.0/16", "10.43.0.10", "default/web"; null when it is none of these. */
export const parseAllowed = (text: string): Allowed | null => {
  const address = parseAddress(text);
  if (address !== null) return { range: hostCidr(address) };
  const range = parseCidr(text);
  if (range !== null) return { range: network(range) };
  return SERVICE.test(text) && !/^[\d.]+\/\d+$/.test(text) ? { service: text } : null;
};

/** As `parseAllowed` reads it. */
export const formatAllowed = (allowed: Allowed): string =>
  'service' in allowed ? allowed.service : formatCidr(allowed.range);
