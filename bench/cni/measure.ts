/**
 * What a measure of plugins is, and the nodes it happens on.
 * @module
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { Quantity } from '../report.ts';
import { type Kind, type Network, network } from './network.ts';
import { Node } from './node.ts';
import type { PluginSet } from './plugins.ts';
import { endResidents } from './process.ts';

/** One figure of each set, in their order, by quantity. */
export type Figures = ReadonlyMap<Quantity, readonly number[]>;

export interface Measure {
  readonly id: string;
  readonly quantities: readonly Quantity[];
  /** `count`: how many calls a figure is the median of. */
  run(sets: readonly PluginSet[], count: number): Figures;
}

const hasFlannel = (sets: readonly PluginSet[]): boolean =>
  sets.every(({ family, directory }) => family === 'kilowire' || readdirSync(directory).includes('flannel'));

export function quantity(id: string, name: string, unit: string, floor?: number, aim?: number): Quantity {
  return {
    ...{ id, name, unit, moreIsBetter: false },
    ...(floor === undefined ? {} : { floor }),
    ...(aim === undefined ? {} : { aim }),
  };
}

/** A fresh node for each set, removed afterwards with all state. */
export function onNodes<T>(sets: readonly PluginSet[], use: (nodes: readonly Node[]) => T): T {
  const nodes = sets.map((set, index) => new Node(set, `kwm-${process.pid}-${index}`));
  try {
    return use(nodes);
  } finally {
    endResidents();
    for (const node of nodes) node.remove();
    // host-local reads every lease there is: those of one measure must not slow down the next.
    for (const folder of readdirSync('/var/lib/cni')) rmSync(`/var/lib/cni/${folder}`, { recursive: true });
  }
}

/** A network of its own name for each set: the same folder of leases would be shared. */
export function networks(nodes: readonly Node[], kind: Kind): Network[] {
  const flannel = hasFlannel(nodes.map(({ plugins }) => plugins));
  return nodes.map(({ plugins }, index) => ({
    ...network(plugins, kind, '10.77.0.0/16', flannel),
    name: `lab${index}`,
  }));
}

/** What flannel's daemon leaves for its plugin. */
export function writeSubnetFile(): void {
  mkdirSync('/run/flannel', { recursive: true });
  const values = { NETWORK: '10.77.0.0/16', SUBNET: '10.77.0.1/16', MTU: '1450', IPMASQ: 'true' };
  const lines = Object.entries(values).map(([key, value]) => `FLANNEL_${key}=${value}\n`);
  writeFileSync('/run/flannel/subnet.env', lines.join(''));
}
