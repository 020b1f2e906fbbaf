/**
 * WireGuard files of a network that was made by hand or by a generator, as Peers. Each file is one machine's view; what all
 * say of one key is put together. A hub, whose ranges hold the addresses of others, does not become a Peer: the cluster's
 * nodes take its place.
 * Source: wg(8), wg-quick(8); the files of wg-gen-web (one hub) and of hand-made full meshes (as many files as machines).
 * @module
 */
import { publicKeyOf } from '../../agent/key-file.ts';
import { formatBase64Key } from '../../noise/base64-key.ts';
import { ConfError, type ConfFile, type ConfPeer, parseConf } from '../../noise/conf-file.ts';
import { type Cidr, contains, formatCidr, hostCidr, network, sameCidr } from '../../noise/ip.ts';
import { formatMeshEndpoint, type MeshEndpoint } from '../../routing/node.ts';
import { compareText } from '../../routing/text-order.ts';
import { fileOwner, peerNames, resourceName } from './conf-names.ts';

export interface ConfSource {
  readonly path: string;
  readonly text: string;
}

export interface ImportedClient {
  readonly name: string;
  readonly publicKey: string;
  /** A secret. */
  readonly presharedKey?: string;
  /** A secret, where a file of its own has it; base64. It goes into a new file of its owner's only. */
  readonly privateKey?: string;
  readonly allowedIPs: readonly Cidr[];
  readonly endpoint?: MeshEndpoint;
  readonly persistentKeepalive: number;
  readonly email: string | null;
  /** `wg0.conf line 12` */
  readonly where: string;
  /** What did not come along, as sentences. */
  readonly notes: readonly string[];
}

export interface Import {
  readonly clients: readonly ImportedClient[];
  /** Keys that become no Peer, with why. */
  readonly skipped: readonly { readonly where: string; readonly why: string }[];
  /** Files that could not be read, by line. */
  readonly faults: readonly string[];
}

export interface ImportOptions {
  /** Public key → name of the cluster's node. */
  readonly nodes: ReadonlyMap<string, string>;
  /** Also the machines whose own files nobody else's names. */
  readonly all: boolean;
}

interface Member {
  readonly key: string;
  readonly where: string;
  names: string[];
  email: string | null;
  privateKey: string | undefined;
  /** From its own file. */
  own: { readonly addresses: readonly Cidr[]; readonly isLeaf: boolean } | null;
  /** From others' files. */
  mentioned: boolean;
  ranges: Cidr[];
  endpoints: MeshEndpoint[];
  presharedKeys: Set<string>;
  keepalive: number;
}

export const importConfs = (sources: readonly ConfSource[], options: ImportOptions): Import => {
  const faults: string[] = [];
  const skipped: { where: string; why: string }[] = [];
  const members = new Map<string, Member>();
  for (const { path, text } of sources) {
    try {
      take(members, path, text, parseConf(text), skipped);
    } catch (error) {
      if (!(error instanceof ConfError)) throw error;
      faults.push(`${path}: ${error.message}.`);
    }
  }
  const clients: ImportedClient[] = [];
  for (const member of members.values()) {
    const why = whySkipped(member, [...members.values()], options);
    if (why === null) clients.push(clientOf(member));
    else skipped.push({ where: member.where, why });
  }
  return { clients: withOwnNames(clients), skipped, faults };
};

const take = (
  members: Map<string, Member>,
  path: string,
  text: string,
  { device, quick }: ConfFile,
  skipped: { where: string; why: string }[],
): void => {
  const of = (key: string, where: string): Member => {
    let member = members.get(key);
    if (member === undefined) {
      member = {
        key,
        where,
        names: [],
        email: null,
        privateKey: undefined,
        own: null,
        mentioned: false,
        ranges: [],
        endpoints: [],
        presharedKeys: new Set(),
        keepalive: 0,
      };
      members.set(key, member);
    }
    return member;
  };
  if (device.privateKey === undefined)
    skipped.push({ where: `${path} [Interface]`, why: 'it has no PrivateKey, so its own key is not known' });
  else {
    const member = of(publicKeyOf(device.privateKey), `${path} [Interface]`);
    const owner = fileOwner(path);
    if (owner !== null) member.names.unshift(owner);
    member.privateKey = formatBase64Key(device.privateKey);
    const isLeaf = device.peers.some(({ allowedIps }) => allowedIps.some(({ prefix }) => prefix === 0));
    member.own = { addresses: quick.addresses, isLeaf };
    member.keepalive = Math.max(
      member.keepalive,
      ...device.peers.map((peer) => peer.persistentKeepalive ?? 0),
    );
  }
  const named = peerNames(text);
  for (const [at, peer] of device.peers.entries()) {
    const { line = 0, name = null, email = null } = named[at] ?? {};
    const member = of(formatBase64Key(peer.publicKey), `${path} line ${line}`);
    if (name !== null) member.names.push(name);
    member.email ??= email;
    member.mentioned = true;
    for (const range of peer.allowedIps)
      if (!member.ranges.some((each) => sameCidr(each, range))) member.ranges.push(network(range));
    const endpoint = endpointOf(peer);
    if (endpoint !== null) member.endpoints.push(endpoint);
    if (peer.presharedKey?.some((byte) => byte !== 0))
      member.presharedKeys.add(formatBase64Key(peer.presharedKey));
    // The machine of this file keeps its own way open; so would the other one.
    if (device.privateKey === undefined)
      member.keepalive = Math.max(member.keepalive, peer.persistentKeepalive ?? 0);
  }
};

const endpointOf = ({ endpoint, endpointName }: ConfPeer): MeshEndpoint | null =>
  endpointName !== undefined
    ? { dns: endpointName.host.toLowerCase(), port: endpointName.port }
    : endpoint === undefined || endpoint.zone !== undefined
      ? null
      : { address: endpoint.address, port: endpoint.port };

const hostsOf = ({ own, ranges }: Member): Cidr[] => [
  ...(own?.addresses ?? []).map(({ address }) => hostCidr(address)),
  ...ranges.filter(({ address, prefix }) => prefix === address.length * 8),
];

const whySkipped = (member: Member, all: readonly Member[], options: ImportOptions): string | null => {
  const node = options.nodes.get(member.key);
  if (node !== undefined) return `it is the key of the cluster's node ${node}`;
  if (member.ranges.some(({ prefix }) => prefix === 0))
    return "it is the way to everything, a hub: the cluster's nodes take its place";
  const beside = all.filter((other) => other !== member).flatMap(hostsOf);
  const wide = member.ranges.filter(({ address, prefix }) => prefix < address.length * 8);
  const held = wide.find((range) => beside.some(({ address }) => contains(range, address)));
  if (held !== undefined)
    return `addresses of others lie in its ${formatCidr(held)}, so it is a hub: the cluster's nodes take its place`;
  if (!member.mentioned && member.own?.isLeaf !== true && !options.all)
    return "no other file names it, so it is a hub: the cluster's nodes take its place (--all takes it too)";
  const ranges = rangesOf(member);
  return ranges.length === 0 ? 'nothing says which addresses it has' : null;
};

const rangesOf = ({ own, ranges }: Member): readonly Cidr[] =>
  ranges.length > 0 ? ranges : (own?.addresses ?? []).map(({ address }) => hostCidr(address));

const clientOf = (member: Member): ImportedClient => {
  const { key, where, names, email, privateKey, endpoints, presharedKeys, keepalive } = member;
  const notes: string[] = [];
  if (presharedKeys.size > 1)
    notes.push(
      'Its pairs have different preshared keys, and a Peer has room for one: it comes without any, so take them out of its file too.',
    );
  const texts = [...new Set(endpoints.map(formatMeshEndpoint))];
  if (texts.length > 1) notes.push(`It is dialled at ${texts.join(' and ')}: the first is taken.`);
  const [presharedKey] = presharedKeys.size === 1 ? presharedKeys : [];
  const [endpoint] = endpoints;
  return {
    name: names[0] ?? resourceName(`wg-${key.replace(/[^A-Za-z0-9]/g, '').slice(0, 8)}`) ?? 'wg',
    publicKey: key,
    ...(presharedKey === undefined ? {} : { presharedKey }),
    ...(privateKey === undefined ? {} : { privateKey }),
    allowedIPs: rangesOf(member),
    ...(endpoint === undefined ? {} : { endpoint }),
    persistentKeepalive: keepalive,
    email,
    where,
    notes,
  };
};

/** Of two that are called the same the second gets a number. */
const withOwnNames = (clients: readonly ImportedClient[]): ImportedClient[] => {
  const used = new Set<string>();
  return clients
    .map((client) => {
      let name = client.name;
      for (let at = 2; used.has(name); at++) name = `${client.name}-${at}`;
      used.add(name);
      return { ...client, name };
    })
    .toSorted((a, b) => compareText(a.name, b.name));
};
