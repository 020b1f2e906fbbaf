/**
 * Endpoints as annotations write them: `203.0.113.1:51820`, `[2001:db8::1]:51820`, `node.example.com:51820`.
 * Source: Kilo's annotations (docs/annotations.md) and how its agent parses them; RFC 1123 for names.
 * @module
 */
import { type Address, parseAddress } from '../noise/ip.ts';
import type { MeshEndpoint } from '../routing/node.ts';

const LABEL = '[a-z0-9](?:[-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const LONGEST_NAME = 253;

/** A lower-case RFC 1123 subdomain. */
export const isHostName = (text: string): boolean => text.length <= LONGEST_NAME && SUBDOMAIN.test(text);

/** Null for anything that is no endpoint; no port may be missing. */
export const parseMeshEndpoint = (text: string): MeshEndpoint | null => {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const [, bracketed, plain = '', portText = ''] = match;
  const port = Number(portText);
  if (port < 1 || port > 0xffff) return null;
  const address = parseIp(bracketed ?? plain);
  if (address !== null) return { address, port };
  if (bracketed !== undefined || !isHostName(plain)) return null;
  return { dns: plain, port };
};

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** An IPv4 address written as IPv6 is the IPv4 address. */
export const parseIp = (text: string): Address | null => {
  const address = parseAddress(text);
  if (address === null || address.length === 4) return address;
  return MAPPED.every((byte, at) => address[at] === byte) ? address.slice(12) : address;
};
