/**
 * The mesh in words and grades: what a colour says is said in a sentence too.
 * @module
 */
import type { MapNode, MapPeer, MapTunnel, MeshSnapshot } from '../mesh-snapshot.ts';

/** From well to ill; `unknown` stands apart. */
export type Grade = 'fresh' | 'ageing' | 'idle' | 'relayed' | 'unknown' | 'broken';

/** WireGuard paper §6.5: a session is refused after 180 s; with traffic there is a handshake every 120 s. */
export const FRESH_SECONDS = 180;
export const AGEING_SECONDS = 900;

export const gradeOf = (tunnel: MapTunnel, { nodes, at }: MeshSnapshot): Grade => {
  if (nodes[tunnel.a]?.state === 'silent' || nodes[tunnel.b]?.state === 'silent') return 'broken';
  if (tunnel.relay !== null) return 'relayed';
  if (!tunnel.measured) return 'unknown';
  if (tunnel.lastHandshake === null) return tunnel.toPeer ? 'idle' : 'broken';
  const age = at / 1000 - tunnel.lastHandshake;
  return age <= FRESH_SECONDS ? 'fresh' : age <= AGEING_SECONDS ? 'ageing' : 'idle';
};

export const GRADE_WORDS: Readonly<Record<Grade, string>> = {
  fresh: 'handshake within 3 minutes',
  ageing: 'handshake within 15 minutes',
  idle: 'no handshake lately: nothing to send',
  relayed: 'through a relay: no tunnel of their own',
  unknown: 'not measured',
  broken: 'broken: no handshake, or an end is silent',
};

const ORDER: readonly Grade[] = ['fresh', 'ageing', 'idle', 'relayed', 'unknown'];

/** Of many: broken when one is, else the best, since most have nothing to send. */
export const bundleGrade = (grades: readonly Grade[]): Grade =>
  grades.includes('broken') ? 'broken' : (ORDER.find((grade) => grades.includes(grade)) ?? 'unknown');

export const ageText = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  if (whole < 7200) return `${Math.floor(whole / 60)} min`;
  return whole < 172_800 ? `${Math.floor(whole / 3600)} h` : `${Math.floor(whole / 86_400)} d`;
};

const scaled = (value: number, units: readonly string[]): string => {
  let rest = value;
  let unit = 0;
  while (rest >= 1000 && unit < units.length - 1) {
    rest /= 1000;
    unit++;
  }
  return `${rest >= 100 || unit === 0 ? rest.toFixed(0) : rest.toFixed(1)} ${units[unit]}`;
};

/** Bytes per second, as networks are spoken of: bits. */
export const rateText = (bytesPerSecond: number): string =>
  scaled(bytesPerSecond * 8, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']);

export const roundTripText = (ms: number | null): string =>
  ms === null ? '–' : ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`;

export const lossText = (share: number | null): string =>
  share === null ? '–' : share === 0 ? 'none' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;

export const handshakeText = (tunnel: MapTunnel, at: number): string => {
  if (!tunnel.measured) return 'not measured';
  return tunnel.lastHandshake === null ? 'never' : `${ageText(at / 1000 - tunnel.lastHandshake)} ago`;
};

export const worstLoss = ({ lossAB, lossBA }: MapTunnel): number | null =>
  lossAB === null ? lossBA : lossBA === null ? lossAB : Math.max(lossAB, lossBA);

export const locationText = (location: string): string => location || '(no location)';

export const nodeText = (name: string, node: MapNode, at: number): string => {
  const role =
    node.role === 'out'
      ? `takes no part: ${node.why}`
      : node.role === 'leader'
        ? node.leads > 1
          ? `leads ${node.leads} nodes, ${node.why}`
          : 'speaks for itself'
        : 'is led';
  const state =
    node.state === 'silent' && node.silentSince !== null
      ? `; does not answer since ${ageText(at / 1000 - node.silentSince)}`
      : '';
  return `${name} in ${locationText(node.location)}, ${role}${state}`;
};

export const tunnelText = (tunnel: MapTunnel, snapshot: MeshSnapshot): string => {
  const parts = [
    `${tunnel.a} and ${tunnel.b}`,
    tunnel.relay === null ? GRADE_WORDS[gradeOf(tunnel, snapshot)] : `through ${tunnel.relay}`,
    `handshake ${handshakeText(tunnel, snapshot.at)}`,
    `${rateText(tunnel.rateAB)} there, ${rateText(tunnel.rateBA)} back`,
  ];
  if (tunnel.roundTripMs !== null) parts.push(`round trip ${roundTripText(tunnel.roundTripMs)}`);
  const loss = worstLoss(tunnel);
  if (loss !== null) parts.push(`loss ${lossText(loss)}`);
  if (tunnel.mtu !== null) parts.push(`path MTU ${tunnel.mtu}`);
  return parts.join('; ');
};

export const peerText = (name: string, peer: MapPeer): string =>
  `${name}, a Peer ${peer.ready ? `with ${peer.allowedIPs.join(', ')}` : 'that is left out'}`;

/** One line for who enters the page. */
export const meshText = ({ nodes, peers, granularity, subnet, problems }: MeshSnapshot): string => {
  if (granularity === '') return '';
  const all = Object.values(nodes);
  const ready = all.filter(({ role }) => role !== 'out').length;
  const places = new Set(all.map(({ location }) => location)).size;
  const faults = problems.filter(({ severity }) => severity === 'fault').length;
  const count = (number: number, word: string): string => `${number} ${word}${number === 1 ? '' : 's'}`;
  return [
    ready === all.length ? count(ready, 'node') : `${ready} of ${count(all.length, 'node')}`,
    `in ${count(places, 'cloud')}`,
    ...(Object.keys(peers).length === 0 ? [] : [`and ${count(Object.keys(peers).length, 'peer')}`]),
    `· ${granularity} mesh in ${subnet}`,
    faults === 0 ? '· nothing is wrong' : `· ${count(faults, 'fault')}`,
  ].join(' ');
};
