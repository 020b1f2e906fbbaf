/**
 * What `kilowire top` shows, from the readings of the last minute: pure, so that it can be held by tests.
 * @module
 */
import type { Reading } from '../device/uapi-client.ts';
import { formatBytes, formatTable } from '../lab/text-table.ts';
import { formatBase64Key } from '../noise/base64-key.ts';
import type { PeerStatus } from '../noise/device-config.ts';
import { formatCidr, formatEndpoint } from '../noise/ip.ts';

export interface Sample extends Reading {
  /** Monotonic, in ms. */
  readonly at: number;
  /** Time of day, in ms. */
  readonly wall: number;
}

export interface PeerView {
  readonly publicKey: string;
  readonly endpoint: string | null;
  readonly allowedIps: readonly string[];
  /** Seconds since the last handshake; null: never. */
  readonly handshakeAge: number | null;
  readonly roundTripMs: number | null;
  /** The largest IP packet that gets to the endpoint whole; null: not known. */
  readonly pathMtu: number | null;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxBytesPerSecond: number;
  readonly txBytesPerSecond: number;
  /** Bytes per second, both ways, oldest first. */
  readonly history: readonly number[];
}

export interface TopView {
  readonly interface: string;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly PeerView[];
  /** Reason → packets since the start of the interface. */
  readonly drops: Readonly<Record<string, number>>;
  readonly dropsPerSecond: Readonly<Record<string, number>>;
  /** Everything else the interface counts. */
  readonly metrics: Readonly<Record<string, number>>;
}

const BARS = '▁▂▃▄▅▆▇█';
const HISTORY = 30;
const DROP = 'drop_';

/** One sign a value, the largest as high as it gets; nothing happening is a blank. */
export function sparkline(values: readonly number[]): string {
  const top = Math.max(...values, 1);
  return values
    .map((value) =>
      value <= 0 ? ' ' : BARS[Math.min(BARS.length - 1, Math.floor((value / top) * BARS.length))],
    )
    .join('');
}

/** 5 s, 2 min, 3 h, 4 d. */
export function formatAge(seconds: number): string {
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** A counter that went back began anew. */
const grown = (now: number, before: number): number => (now >= before ? now - before : now);

/** Bytes per second between neighbouring samples, of one peer. */
function rates(samples: readonly Sample[], key: string, count: (peer: PeerStatus) => number): number[] {
  const totals = samples.map((sample) => {
    const peer = sample.status.peers.find(({ publicKey }) => formatBase64Key(publicKey) === key);
    return { at: sample.at, total: peer === undefined ? 0 : count(peer) };
  });
  return totals.slice(1).map(({ at, total }, index) => {
    const before = totals[index] ?? { at, total };
    return at > before.at ? (grown(total, before.total) * 1000) / (at - before.at) : 0;
  });
}

/** `samples`: oldest first, at least one. */
export function topView(name: string, samples: readonly Sample[]): TopView {
  const recent = samples.slice(-HISTORY - 1);
  const last = recent.at(-1);
  if (last === undefined) throw new RangeError('"samples" expected one at least, got none');
  const first = recent.at(-2) ?? last;
  const { status, metrics } = last;
  const peers = status.peers.map((peer): PeerView => {
    const publicKey = formatBase64Key(peer.publicKey);
    const received = rates(recent, publicKey, ({ rxBytes }) => rxBytes);
    const sent = rates(recent, publicKey, ({ txBytes }) => txBytes);
    const { seconds, nanoseconds } = peer.lastHandshake;
    return {
      publicKey,
      endpoint: peer.endpoint === undefined ? null : formatEndpoint(peer.endpoint),
      allowedIps: peer.allowedIps.map(formatCidr),
      handshakeAge: seconds === 0 ? null : Math.max(0, last.wall / 1000 - seconds - nanoseconds / 1e9),
      roundTripMs: peer.roundTrip ?? null,
      pathMtu: peer.pathMtu ?? null,
      rxBytes: peer.rxBytes,
      txBytes: peer.txBytes,
      rxBytesPerSecond: received.at(-1) ?? 0,
      txBytesPerSecond: sent.at(-1) ?? 0,
      history: received.map((rate, index) => rate + (sent[index] ?? 0)),
    };
  });
  const drops: Record<string, number> = {};
  const dropsPerSecond: Record<string, number> = {};
  const others: Record<string, number> = {};
  const seconds = (last.at - first.at) / 1000;
  for (const [metric, value] of Object.entries(metrics)) {
    if (!metric.startsWith(DROP)) {
      others[metric] = value;
      continue;
    }
    const reason = metric.slice(DROP.length);
    drops[reason] = value;
    dropsPerSecond[reason] = seconds > 0 ? grown(value, first.metrics[metric] ?? 0) / seconds : 0;
  }
  return {
    interface: name,
    listenPort: status.listenPort ?? 0,
    fwmark: status.fwmark ?? 0,
    peers,
    drops,
    dropsPerSecond,
    metrics: others,
  };
}

const perSecond = (rate: number): string => (rate === 0 ? '-' : `${formatBytes(rate)}/s`);

/** The screen as lines; `rows` are the peers there is room for, the busiest first. */
export function screen(view: TopView, rows: number): string[] {
  const { metrics } = view;
  const facts = [
    `port ${view.listenPort === 0 ? 'closed' : view.listenPort}`,
    metrics.mtu === undefined ? '' : `MTU ${metrics.mtu}`,
    view.fwmark === 0 ? '' : `mark 0x${view.fwmark.toString(16)}`,
    `${view.peers.length} ${view.peers.length === 1 ? 'peer' : 'peers'}`,
    metrics.handshakes_waiting ? `${metrics.handshakes_waiting} handshakes waiting` : '',
    metrics.staged_bytes ? `${formatBytes(metrics.staged_bytes)} waiting for a handshake` : '',
  ];
  const busiest = [...view.peers].sort(
    (a, b) =>
      b.rxBytesPerSecond + b.txBytesPerSecond - a.rxBytesPerSecond - a.txBytesPerSecond ||
      (a.handshakeAge ?? Number.POSITIVE_INFINITY) - (b.handshakeAge ?? Number.POSITIVE_INFINITY),
  );
  const shown = busiest.slice(0, Math.max(1, rows));
  const table = formatTable(
    ['peer', 'endpoint', 'handshake', 'round trip', 'path', 'in', 'out', 'received', 'sent', 'activity'],
    shown.map((peer) => [
      `${peer.publicKey.slice(0, 10)}…`,
      peer.endpoint ?? '(not known)',
      peer.handshakeAge === null ? 'never' : formatAge(peer.handshakeAge),
      peer.roundTripMs === null ? '-' : `${peer.roundTripMs.toFixed(1)} ms`,
      peer.pathMtu === null ? '-' : String(peer.pathMtu),
      perSecond(peer.rxBytesPerSecond),
      perSecond(peer.txBytesPerSecond),
      formatBytes(peer.rxBytes),
      formatBytes(peer.txBytes),
      sparkline(peer.history),
    ]),
    [2, 3, 4, 5, 6, 7, 8],
  );
  const lines = [`${view.interface}  ${facts.filter((fact) => fact !== '').join('  ')}`, ''];
  if (view.peers.length > 0) lines.push(...table.split('\n'));
  if (busiest.length > shown.length) lines.push(`… and ${busiest.length - shown.length} more`);
  const dropped = Object.entries(view.drops)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => [reason, String(count), `${(view.dropsPerSecond[reason] ?? 0).toFixed(1)}/s`]);
  if (dropped.length > 0) {
    lines.push('', ...formatTable(['dropped', 'packets', 'now'], dropped, [1, 2]).split('\n'));
  }
  return lines;
}
