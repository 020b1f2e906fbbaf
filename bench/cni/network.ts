/**
 * The same network in the words of each set of plugins: one entry for ours, a chain for Go's.
 * @module
 */
import type { PluginSet } from './plugins.ts';

export type Kind = 'plain' | 'masquerade' | 'host port' | 'k3s';

/** One plugin of a chain. */
export interface Entry {
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface Network {
  readonly name: string;
  readonly loopback: boolean;
  readonly chain: readonly Entry[];
}

/** `subnet` must have room for all pods of a measure. Without flannel, which Debian has not, k3s' chain begins with what flannel calls. */
export function network({ family }: PluginSet, kind: Kind, subnet: string, hasFlannel: boolean): Network {
  const bridge = {
    bridge: 'cni0',
    isGateway: true,
    isDefaultGateway: true,
    forceAddress: true,
    hairpinMode: true,
    mtu: 1450,
    ipMasq: kind === 'masquerade' || kind === 'host port',
    ipam: { type: 'host-local', ranges: [[{ subnet }]] },
  };
  const name = 'lab';
  if (family === 'kilowire')
    return { name, loopback: kind === 'k3s', chain: [{ type: 'kilowire', ...bridge }] };
  if (kind === 'k3s') {
    const { ipam, mtu, ipMasq, ...delegate } = bridge;
    const first: Entry = hasFlannel ? { type: 'flannel', delegate } : { type: 'bridge', ...bridge };
    return { name, loopback: true, chain: [first, { type: 'portmap' }, { type: 'bandwidth' }] };
  }
  const chain: Entry[] = [{ type: 'bridge', ...bridge }];
  if (kind === 'host port') chain.push({ type: 'portmap' });
  return { name, loopback: false, chain };
}
