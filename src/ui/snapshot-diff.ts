/**
 * What changed between two snapshots, and a snapshot with a change applied: a page that has one only hears of the rest.
 * @module
 */
import type { MapNode, MapPeer, MapTunnel, MeshSnapshot } from './mesh-snapshot.ts';

interface RecordChange<Item> {
  readonly set: Readonly<Record<string, Item>>;
  readonly gone: readonly string[];
}

export interface SnapshotChange {
  readonly at: number;
  /** Fields that are replaced as a whole. */
  readonly facts: Partial<Pick<MeshSnapshot, 'trouble' | 'granularity' | 'subnet' | 'problems'>>;
  readonly nodes: RecordChange<MapNode>;
  readonly peers: RecordChange<MapPeer>;
  readonly tunnels: RecordChange<MapTunnel>;
}

const FACTS = ['trouble', 'granularity', 'subnet', 'problems'] as const;

const isEqual = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export const changeBetween = (before: MeshSnapshot, after: MeshSnapshot): SnapshotChange => ({
  at: after.at,
  facts: Object.fromEntries(
    FACTS.filter((name) => !isEqual(before[name], after[name])).map((name) => [name, after[name]]),
  ),
  nodes: recordChange(before.nodes, after.nodes),
  peers: recordChange(before.peers, after.peers),
  tunnels: recordChange(before.tunnels, after.tunnels),
});

const recordChange = <Item>(
  before: Readonly<Record<string, Item>>,
  after: Readonly<Record<string, Item>>,
): RecordChange<Item> => ({
  set: Object.fromEntries(Object.entries(after).filter(([name, item]) => !isEqual(before[name], item))),
  gone: Object.keys(before).filter((name) => !Object.hasOwn(after, name)),
});

export const withChange = (snapshot: MeshSnapshot, change: SnapshotChange): MeshSnapshot => ({
  ...snapshot,
  ...change.facts,
  at: change.at,
  nodes: withRecordChange(snapshot.nodes, change.nodes),
  peers: withRecordChange(snapshot.peers, change.peers),
  tunnels: withRecordChange(snapshot.tunnels, change.tunnels),
});

const withRecordChange = <Item>(
  record: Readonly<Record<string, Item>>,
  { set, gone }: RecordChange<Item>,
): Readonly<Record<string, Item>> => {
  if (gone.length === 0 && Object.keys(set).length === 0) return record;
  const without = new Set(gone);
  return {
    ...Object.fromEntries(Object.entries(record).filter(([name]) => !without.has(name))),
    ...set,
  };
};
