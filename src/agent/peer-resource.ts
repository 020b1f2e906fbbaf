/**
 * Kilo's Peer resource as the mesh reads it, and the rules it is held to.
 * Source: Kilo's Peer CRD (docs/api.md), the sentences of its validating webhook, and what its agent makes of a Peer.
 * @module
 */
import { parseCidr } from '../noise/ip.ts';
import { isKey } from '../routing/key-text.ts';
import type { MeshEndpoint } from '../routing/node.ts';
import type { Peer } from '../routing/peer.ts';
import { isHostName, parseIp } from './endpoint-text.ts';
import type { PeerResource, PeerSpec } from './kubernetes/resources.ts';

const KEY_LENGTH = 32;
const SUBDOMAIN_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/** What can be read of it; a bad part is left out. */
export const peerOf = ({ metadata, spec = {} }: PeerResource): Peer => {
  const { publicKey = '', presharedKey = '', persistentKeepalive = 0 } = spec;
  const endpoint = endpointOf(spec);
  return {
    name: metadata.name,
    key: isKey(publicKey) ? publicKey : '',
    ...(isKey(presharedKey) ? { presharedKey } : {}),
    ...(endpoint === null ? {} : { endpoint }),
    persistentKeepalive: persistentKeepalive > 0 ? persistentKeepalive : 0,
    allowedIPs: (spec.allowedIPs ?? []).flatMap((text) => parseCidr(text) ?? []),
  };
};

/** A name goes before an address. */
const endpointOf = ({ endpoint }: PeerSpec): MeshEndpoint | null => {
  const port = endpoint?.port ?? 0;
  if (port <= 0 || port > 0xffff) return null;
  const { dns = '', ip = '' } = endpoint?.dnsOrIP ?? {};
  if (dns !== '') return { dns, port };
  const address = parseIp(ip);
  return address === null ? null : { address, port };
};

/** The first rule a Peer breaks, in the webhook's words; null when it keeps all. One that breaks any takes no part. */
export const whyPeerInvalid = ({ spec = {} }: PeerResource): string | null => {
  for (const text of spec.allowedIPs ?? []) {
    if (parseCidr(text) === null)
      return `failed to parse "${text}" as a valid IP address: invalid CIDR address: ${text}`;
  }
  const { endpoint, persistentKeepalive = 0 } = spec;
  if (endpoint !== undefined) {
    const { dns = '', ip = '' } = endpoint.dnsOrIP ?? {};
    if (dns === '' && ip === '') return 'either an endpoint DNS name IP address must be given';
    if (dns !== '' && !isHostName(dns)) return SUBDOMAIN_RULE;
    if (ip !== '' && parseIp(ip) === null) return `failed to parse "${ip}" as a valid IP address`;
    const port = endpoint.port ?? 0;
    if (port < 1 || port > 0xffff) return `port must be a valid UDP port number, got ${port}`;
  }
  if (persistentKeepalive < 0)
    return `persistent keepalive must be greater than or equal to zero; got ${persistentKeepalive}`;
  return whyKeyInvalid(spec.publicKey ?? '');
};

const whyKeyInvalid = (text: string): string | null => {
  const illegal = illegalBase64(text);
  if (illegal >= 0)
    return `WireGuard public key is not base64 encoded: illegal base64 data at input byte ${illegal}`;
  return Buffer.from(text, 'base64').length === KEY_LENGTH ? null : 'WireGuard public key has invalid length';
};

/** Where standard base64 with its padding goes wrong, or -1. */
const illegalBase64 = (text: string): number => {
  const digits = /^[A-Za-z0-9+/]*/.exec(text)?.[0].length ?? 0;
  const padding = (4 - (digits % 4)) % 4;
  if (padding === 3) return digits === text.length ? text.length - 1 : digits;
  if (text.slice(digits) === '='.repeat(padding)) return -1;
  if (text[digits] === '=' && text.slice(digits, digits + padding) === '='.repeat(padding))
    return digits + padding;
  return Math.min(digits, text.length);
};
