/**
 * The configuration file of wg(8) and wg-quick(8), to and from values.
 * Source: wg(8) CONFIGURATION FILE FORMAT, wg-quick(8) CONFIGURATION; wireguard-tools config.c for what it accepts.
 * Errors name the line and the key, never the value of a secret.
 * @module
 */
import { formatBase64Key, parseBase64Key } from './base64-key.ts';
import type { DeviceConfig, PeerConfig } from './device-config.ts';
import {
  type Cidr,
  formatCidr,
  formatEndpoint,
  hostCidr,
  network,
  parseAddress,
  parseCidr,
  parseEndpoint,
} from './ip.ts';
import { isZero } from './primitives.ts';

/** What is wrong with a file, and on which line; the text never quotes a secret. */
export class ConfError extends Error {
  readonly code = 'ERR_CONF_SYNTAX';
  readonly line: number;

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.name = 'ConfError';
    this.line = line;
  }
}

/** What wg-quick acts on and wg(8) does not know. */
export interface QuickSettings {
  readonly addresses: readonly Cidr[];
  /** Servers and search domains, as written. */
  readonly dns: readonly string[];
  readonly mtu?: number;
  readonly table?: string;
  readonly saveConfig?: boolean;
  readonly preUp: readonly string[];
  readonly postUp: readonly string[];
  readonly preDown: readonly string[];
  readonly postDown: readonly string[];
}

/** A peer of a file may name its endpoint; somebody has to resolve it. */
export interface ConfPeer extends PeerConfig {
  readonly endpointName?: { readonly host: string; readonly port: number };
}

/** A whole file. */
export interface ConfFile {
  readonly device: DeviceConfig & { readonly peers: readonly ConfPeer[] };
  readonly quick: QuickSettings;
}

type Draft<T> = { -readonly [K in keyof T]: T[K] };

type InterfaceDraft = Draft<Omit<DeviceConfig, 'peers'>>;

interface QuickDraft extends Draft<QuickSettings> {
  addresses: Cidr[];
  dns: string[];
  preUp: string[];
  postUp: string[];
  preDown: string[];
  postDown: string[];
}

interface PeerDraft extends Draft<Omit<ConfPeer, 'publicKey' | 'allowedIps'>> {
  publicKey?: Uint8Array;
  allowedIps: Cidr[];
  readonly line: number;
}

const HOST_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})$/;

function key(line: number, name: string, value: string): Uint8Array {
  const parsed = parseBase64Key(value);
  if (parsed === null) {
    throw new ConfError(
      line,
      `${name} is not a key; it must be 44 characters of base64, as "wg genkey" prints`,
    );
  }
  return parsed;
}

function decimal(line: number, name: string, value: string, max: number): number {
  if (!/^[0-9]{1,10}$/.test(value) || Number(value) > max) {
    throw new ConfError(line, `${name} must be a number from 0 to ${max}, not "${value}"`);
  }
  return Number(value);
}

function fwmark(line: number, value: string): number {
  if (value.toLowerCase() === 'off') return 0;
  if (/^0x[0-9a-fA-F]{1,8}$/.test(value)) return Number(value);
  return decimal(line, 'FwMark', value, 0xffff_ffff);
}

function list(value: string): string[] {
  return value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** A bare address is its host: wg(8) adds /32 or /128. */
function range(line: number, name: string, text: string): Cidr {
  const address = parseAddress(text);
  const parsed = address === null ? parseCidr(text) : hostCidr(address);
  if (parsed === null) {
    throw new ConfError(
      line,
      `${name}: "${text}" is not an address range; write it as 10.0.0.0/24 or fd00::/64`,
    );
  }
  return parsed;
}

function boolean(line: number, name: string, value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new ConfError(line, `${name} must be true or false`);
  return value === 'true';
}

function interfaceLine(
  device: InterfaceDraft,
  quick: QuickDraft,
  line: number,
  name: string,
  value: string,
): void {
  switch (name.toLowerCase()) {
    case 'privatekey':
      device.privateKey = key(line, name, value);
      break;
    case 'listenport':
      device.listenPort = decimal(line, name, value, 0xffff);
      break;
    case 'fwmark':
      device.fwmark = fwmark(line, value);
      break;
    case 'address':
      for (const text of list(value)) quick.addresses.push(range(line, name, text));
      break;
    case 'dns':
      quick.dns.push(...list(value));
      break;
    case 'mtu':
      quick.mtu = decimal(line, name, value, 0xffff);
      break;
    case 'table':
      quick.table = value;
      break;
    case 'saveconfig':
      quick.saveConfig = boolean(line, name, value);
      break;
    case 'preup':
      quick.preUp.push(value);
      break;
    case 'postup':
      quick.postUp.push(value);
      break;
    case 'predown':
      quick.preDown.push(value);
      break;
    case 'postdown':
      quick.postDown.push(value);
      break;
    default:
      throw new ConfError(line, `"${name}" is not a setting of [Interface]`);
  }
}

function endpointLine(peer: PeerDraft, line: number, value: string): void {
  const endpoint = parseEndpoint(value);
  if (endpoint !== null) {
    peer.endpoint = endpoint;
    delete peer.endpointName;
    return;
  }
  const colon = value.lastIndexOf(':');
  const host = value.slice(0, Math.max(colon, 0));
  // Four numbers that are no address are a slip, not a name.
  if (!HOST_NAME.test(host) || /^[0-9.]+$/.test(host)) {
    throw new ConfError(
      line,
      `Endpoint: "${value}" is not an endpoint; write it as 192.0.2.1:51820, [2001:db8::1]:51820 or name:51820`,
    );
  }
  peer.endpointName = { host, port: decimal(line, 'the port of Endpoint', value.slice(colon + 1), 0xffff) };
  delete peer.endpoint;
}

function peerLine(peer: PeerDraft, line: number, name: string, value: string): void {
  switch (name.toLowerCase()) {
    case 'publickey':
      peer.publicKey = key(line, name, value);
      break;
    case 'presharedkey':
      peer.presharedKey = key(line, name, value);
      break;
    case 'allowedips':
      for (const text of list(value)) peer.allowedIps.push(network(range(line, name, text)));
      break;
    case 'endpoint':
      endpointLine(peer, line, value);
      break;
    case 'persistentkeepalive':
      peer.persistentKeepalive = value.toLowerCase() === 'off' ? 0 : decimal(line, name, value, 0xffff);
      break;
    default:
      throw new ConfError(line, `"${name}" is not a setting of [Peer]`);
  }
}

function finishPeer({ line, publicKey, ...rest }: PeerDraft): ConfPeer {
  if (publicKey === undefined) throw new ConfError(line, 'this [Peer] has no PublicKey');
  return { publicKey, ...rest };
}

/** Comments, blank lines and the case of names do not matter; what is not understood is an error. */
export function parseConf(text: string): ConfFile {
  const device: InterfaceDraft = {};
  const quick: QuickDraft = { addresses: [], dns: [], preUp: [], postUp: [], preDown: [], postDown: [] };
  const peers: PeerDraft[] = [];
  let section: 'none' | 'interface' | 'peer' = 'none';
  for (const [index, raw] of text.split('\n').entries()) {
    const number = index + 1;
    const line = (raw.split('#', 1)[0] ?? '').trim();
    if (line === '') continue;
    if (/^\[interface\]$/i.test(line)) {
      section = 'interface';
      continue;
    }
    if (/^\[peer\]$/i.test(line)) {
      section = 'peer';
      peers.push({ line: number, allowedIps: [] });
      continue;
    }
    const equals = line.indexOf('=');
    if (line.startsWith('[') || equals < 1) {
      throw new ConfError(number, 'expected [Interface], [Peer] or a setting such as "ListenPort = 51820"');
    }
    const name = line.slice(0, equals).trimEnd();
    const value = line.slice(equals + 1).trimStart();
    const peer = peers.at(-1);
    if (section === 'interface') interfaceLine(device, quick, number, name, value);
    else if (section === 'peer' && peer !== undefined) peerLine(peer, number, name, value);
    else throw new ConfError(number, `"${name}" stands before [Interface] or [Peer]`);
  }
  return { device: { ...device, peers: peers.map(finishPeer) }, quick };
}

function setting(lines: string[], name: string, value: string | number | boolean | undefined): void {
  if (value !== undefined) lines.push(`${name} = ${value}`);
}

function interfaceLines({ device, quick }: ConfFile): string[] {
  const lines = ['[Interface]'];
  if (device.privateKey !== undefined && !isZero(device.privateKey)) {
    setting(lines, 'PrivateKey', formatBase64Key(device.privateKey));
  }
  setting(lines, 'ListenPort', device.listenPort || undefined);
  setting(lines, 'FwMark', device.fwmark ? `0x${device.fwmark.toString(16)}` : undefined);
  if (quick.addresses.length > 0) setting(lines, 'Address', quick.addresses.map(formatCidr).join(', '));
  if (quick.dns.length > 0) setting(lines, 'DNS', quick.dns.join(', '));
  setting(lines, 'MTU', quick.mtu);
  setting(lines, 'Table', quick.table);
  setting(lines, 'SaveConfig', quick.saveConfig);
  for (const command of quick.preUp) setting(lines, 'PreUp', command);
  for (const command of quick.postUp) setting(lines, 'PostUp', command);
  for (const command of quick.preDown) setting(lines, 'PreDown', command);
  for (const command of quick.postDown) setting(lines, 'PostDown', command);
  return lines;
}

function endpointText(peer: ConfPeer): string | undefined {
  if (peer.endpoint !== undefined) return formatEndpoint(peer.endpoint);
  return peer.endpointName && `${peer.endpointName.host}:${peer.endpointName.port}`;
}

function peerLines(peer: ConfPeer): string[] {
  const lines = ['', '[Peer]', `PublicKey = ${formatBase64Key(peer.publicKey)}`];
  if (peer.presharedKey !== undefined && !isZero(peer.presharedKey)) {
    setting(lines, 'PresharedKey', formatBase64Key(peer.presharedKey));
  }
  if (peer.allowedIps.length > 0) setting(lines, 'AllowedIPs', peer.allowedIps.map(formatCidr).join(', '));
  setting(lines, 'Endpoint', endpointText(peer));
  setting(lines, 'PersistentKeepalive', peer.persistentKeepalive || undefined);
  return lines;
}

/** What a file without any of wg-quick's settings has. */
export const NO_QUICK_SETTINGS: QuickSettings = {
  addresses: [],
  dns: [],
  preUp: [],
  postUp: [],
  preDown: [],
  postDown: [],
};

/** The file, in the order `wg showconf` uses. It holds the private key: write it with mode 0600. */
export function formatConf(device: ConfFile['device'], quick: QuickSettings = NO_QUICK_SETTINGS): string {
  return `${[...interfaceLines({ device, quick }), ...device.peers.flatMap(peerLines)].join('\n')}\n`;
}
