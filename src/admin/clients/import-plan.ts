/**
 * What an import would change in a cluster, Peer by Peer: new, different, the same, or in the way.
 * @module
 */
import type { PeerResource, PeerSpec } from '../../agent/kubernetes/resources.ts';
import { formatAddress, formatCidr } from '../../noise/ip.ts';
import { overlaps } from '../../routing/ip-prefix.ts';
import type { MeshEndpoint } from '../../routing/node.ts';
import type { ClusterSnapshot } from '../cluster-snapshot.ts';
import type { Occupied } from './address-pool.ts';
import { EMAIL } from './client.ts';
import type { ImportedClient } from './conf-import.ts';

export interface ImportStep {
  readonly action: 'add' | 'change' | 'same' | 'conflict';
  readonly client: ImportedClient;
  /** The Peer it is about; one that has the key already keeps its name. */
  readonly name: string;
  /** In words, for `change` and `conflict`; never a key that is secret. */
  readonly what: readonly string[];
}

export const importPlan = (
  clients: readonly ImportedClient[],
  snapshot: ClusterSnapshot,
  occupied: readonly Occupied[],
): readonly ImportStep[] =>
  clients.map((client) => {
    const ofKey = snapshot.peers.find(({ peer }) => peer.key === client.publicKey)?.resource;
    const ofName = snapshot.peers.find(({ peer }) => peer.name === client.name)?.resource;
    const found = ofKey ?? ofName;
    const name = found?.metadata.name ?? client.name;
    const conflicts = conflictsOf(client, name, snapshot, occupied);
    if (ofKey === undefined && ofName !== undefined)
      conflicts.unshift('there is a Peer of this name with another key: rename one, or remove it');
    if (conflicts.length > 0) return { action: 'conflict', client, name, what: conflicts };
    if (found === undefined) return { action: 'add', client, name, what: [] };
    const what = differences(found.spec ?? {}, specOf(client));
    return { action: what.length === 0 ? 'same' : 'change', client, name, what };
  });

const conflictsOf = (
  { allowedIPs }: ImportedClient,
  name: string,
  { peers }: ClusterSnapshot,
  occupied: readonly Occupied[],
): string[] =>
  allowedIPs.flatMap((range) => {
    const meshs = occupied.find((each) => overlaps(each.range, range));
    if (meshs !== undefined)
      return [`${formatCidr(range)} overlaps ${formatCidr(meshs.range)}, ${meshs.what}`];
    const rival = peers.find(
      ({ peer }) =>
        peer.name !== name &&
        peer.allowedIPs.some((each) => each.prefix > 0 && formatCidr(each) === formatCidr(range)),
    );
    return rival === undefined ? [] : [`the Peer "${rival.peer.name}" has ${formatCidr(range)}`];
  });

const specOf = ({ allowedIPs, endpoint, persistentKeepalive, presharedKey, publicKey }: ImportedClient) => ({
  allowedIPs: allowedIPs.map(formatCidr),
  ...(endpoint === undefined ? {} : { endpoint: endpointSpec(endpoint) }),
  ...(persistentKeepalive === 0 ? {} : { persistentKeepalive }),
  ...(presharedKey === undefined ? {} : { presharedKey }),
  publicKey,
});

const endpointSpec = ({ dns, address, port }: MeshEndpoint): NonNullable<PeerSpec['endpoint']> => ({
  dnsOrIP: dns !== undefined ? { dns } : address === undefined ? {} : { ip: formatAddress(address) },
  port,
});

const differences = (have: PeerSpec, want: PeerSpec): string[] => {
  const texts = (spec: PeerSpec): Record<string, string> => {
    const { dnsOrIP: { dns = '', ip = '' } = {}, port = 0 } = spec.endpoint ?? {};
    return {
      allowedIPs: (spec.allowedIPs ?? []).join(', ') || 'none',
      endpoint: spec.endpoint === undefined ? 'none' : `${dns || ip}:${port}`,
      persistentKeepalive: String(spec.persistentKeepalive ?? 0),
    };
  };
  const [a, b] = [texts(have), texts(want)];
  const words = Object.keys(a).flatMap((field) =>
    a[field] === b[field] ? [] : [`${field}: ${a[field]} → ${b[field]}`],
  );
  const [was, is] = [have.presharedKey ?? '', want.presharedKey ?? ''];
  if (was !== is)
    words.push(
      `presharedKey: ${was === '' ? 'none' : 'one'} → ${is === '' ? 'none' : was === '' ? 'one' : 'another'}`,
    );
  return words;
};

/** The Peer to create. */
export const importedPeer = ({ client, name }: ImportStep): PeerResource => ({
  metadata: { name, ...(client.email === null ? {} : { annotations: { [EMAIL]: client.email } }) },
  spec: specOf(client),
});

/** The merge patch of one that is there: what the files do not have goes. */
export const importedPatch = ({ client }: ImportStep): unknown => ({
  spec: { endpoint: null, persistentKeepalive: null, presharedKey: null, ...specOf(client) },
});
