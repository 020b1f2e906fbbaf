/**
 * `kilowire top` of a mesh for people: a node a line, the busiest first, then what is wrong.
 * @module
 */
import { formatBytes, formatTable } from '../lab/text-table.ts';
import type { MapTunnel, MeshSnapshot } from '../ui/mesh-snapshot.ts';
import { formatAge, sparkline } from './top-view.ts';

export interface NodeRow {
  readonly name: string;
  readonly location: string;
  readonly role: 'leader' | 'member' | 'out';
  /** Seconds since it does not answer; null: it does, or is not asked. */
  readonly silentFor: number | null;
  readonly tunnels: { readonly up: number; readonly all: number };
  /** Seconds, of its tunnels between nodes; null where none is known. */
  readonly newestHandshake: number | null;
  readonly oldestHandshake: number | null;
  /** The middle one. */
  readonly roundTripMs: number | null;
  readonly receivedPerSecond: number;
  readonly sentPerSecond: number;
  /** The worst of its tunnels. */
  readonly loss: number | null;
  readonly faults: number;
}

export interface MeshTopView {
  readonly granularity: string;
  readonly subnet: string;
  readonly trouble: string | null;
  readonly nodes: readonly NodeRow[];
  readonly peers: number;
  readonly problems: MeshSnapshot['problems'];
}

/** WireGuard refuses a session after that (paper §6.5); one without traffic may be older and well. */
const SESSION_SECONDS = 180;

export const meshTopView = (snapshot: MeshSnapshot): MeshTopView => ({
  granularity: snapshot.granularity,
  subnet: snapshot.subnet,
  trouble: snapshot.trouble,
  nodes: Object.keys(snapshot.nodes)
    .map((name) => rowOf(name, snapshot))
    .toSorted(
      (a, b) =>
        Number(b.silentFor !== null) - Number(a.silentFor !== null) ||
        b.receivedPerSecond + b.sentPerSecond - a.receivedPerSecond - a.sentPerSecond ||
        (a.name < b.name ? -1 : 1),
    ),
  peers: Object.keys(snapshot.peers).length,
  problems: snapshot.problems,
});

const rowOf = (name: string, { nodes, tunnels, problems, at }: MeshSnapshot): NodeRow => {
  const node = nodes[name];
  const now = at / 1000;
  const own = Object.values(tunnels).filter(({ a, b }) => a === name || b === name);
  const between = own.filter(({ toPeer }) => !toPeer);
  const ages = between.flatMap(({ lastHandshake }) => (lastHandshake === null ? [] : [now - lastHandshake]));
  const trips = between.flatMap(({ roundTripMs }) => roundTripMs ?? []).toSorted((a, b) => a - b);
  const losses = own.flatMap(({ lossAB, lossBA }) => [lossAB ?? [], lossBA ?? []].flat());
  const sum = (count: (tunnel: MapTunnel) => number): number =>
    own.reduce((total, tunnel) => total + count(tunnel), 0);
  return {
    name,
    location: node?.location ?? '',
    role: node?.role ?? 'out',
    silentFor: node?.silentSince == null ? null : Math.max(0, now - node.silentSince),
    tunnels: {
      up: ages.filter((age) => age <= SESSION_SECONDS).length,
      all: between.length,
    },
    newestHandshake: ages.length === 0 ? null : Math.max(0, Math.min(...ages)),
    oldestHandshake: ages.length === 0 ? null : Math.max(0, ...ages),
    roundTripMs: trips[Math.floor(trips.length / 2)] ?? null,
    receivedPerSecond: sum(({ a, rateAB, rateBA }) => (a === name ? rateBA : rateAB)),
    sentPerSecond: sum(({ a, rateAB, rateBA }) => (a === name ? rateAB : rateBA)),
    loss: losses.length === 0 ? null : Math.max(...losses),
    faults: problems.filter(({ severity, subject }) => severity === 'fault' && subject === `node ${name}`)
      .length,
  };
};

/** Lines that are no nodes: heading, table head, a few problems. */
const OTHER_LINES = 10;
const MOST_PROBLEMS = 5;

/** `history`: bytes per second of each node, oldest first. `rows` there is room for. */
export const meshScreen = (
  view: MeshTopView,
  history: ReadonlyMap<string, readonly number[]>,
  rows: number,
): string[] => {
  if (view.granularity === '') return [view.trouble ?? 'Reading the cluster …'];
  const ready = view.nodes.filter(({ role }) => role !== 'out').length;
  const faults = view.problems.filter(({ severity }) => severity === 'fault');
  const lines = [
    `${view.granularity} mesh in ${view.subnet}  ${ready} of ${view.nodes.length} nodes  ${view.peers} ${view.peers === 1 ? 'peer' : 'peers'}  ${faults.length === 0 ? 'nothing is wrong' : `${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}`}`,
    ...(view.trouble === null ? [] : [view.trouble]),
    '',
  ];
  const shown = view.nodes.slice(0, Math.max(1, rows - OTHER_LINES - Math.min(faults.length, MOST_PROBLEMS)));
  const table = formatTable(
    ['node', 'cloud', 'role', 'tunnels', 'handshakes', 'round trip', 'in', 'out', 'lost', 'activity'],
    shown.map((row) => cellsOf(row, history.get(row.name) ?? [])),
    [3, 4, 5, 6, 7, 8],
  );
  lines.push(...table.split('\n'));
  if (view.nodes.length > shown.length) lines.push(`… and ${view.nodes.length - shown.length} more`);
  if (faults.length > 0) lines.push('', ...faults.slice(0, MOST_PROBLEMS).map(({ what }) => what));
  if (faults.length > MOST_PROBLEMS)
    lines.push(`… and ${faults.length - MOST_PROBLEMS} more: kilowire status --agents`);
  return lines;
};

const cellsOf = (row: NodeRow, history: readonly number[]): string[] => [
  row.name,
  row.location || '-',
  row.silentFor === null ? row.role : `no answer ${formatAge(row.silentFor)}`,
  row.tunnels.all === 0 ? '-' : `${row.tunnels.up}/${row.tunnels.all}`,
  spanOf(row),
  row.roundTripMs === null ? '-' : `${row.roundTripMs.toFixed(1)} ms`,
  perSecond(row.receivedPerSecond),
  perSecond(row.sentPerSecond),
  row.loss === null ? '-' : `${(row.loss * 100).toFixed(1)} %`,
  sparkline(history),
];

const spanOf = ({ newestHandshake, oldestHandshake }: NodeRow): string => {
  if (newestHandshake === null || oldestHandshake === null) return '-';
  const [from, to] = [formatAge(newestHandshake), formatAge(oldestHandshake)];
  return from === to ? from : `${from} – ${to}`;
};

const perSecond = (rate: number): string => (rate === 0 ? '-' : `${formatBytes(rate)}/s`);
