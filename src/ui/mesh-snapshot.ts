/**
 * What the page knows of the mesh at one moment, as plain JSON: times are absolute, so that what did not happen does not
 * change a snapshot. Shared by the server and the page.
 * @module
 */

/** How a node stands: `silent` answered before, or is the only one that does not; `unknown` cannot be asked from here. */
export type NodeState = 'well' | 'silent' | 'unknown' | 'out';

export interface MapNode {
  readonly location: string;
  readonly role: 'leader' | 'member' | 'out';
  readonly state: NodeState;
  /** Why it leads, or why it takes no part; '' for who is led. */
  readonly why: string;
  /** Of the segment it leads. */
  readonly meshAddress: string | null;
  /** How many nodes it speaks for. */
  readonly leads: number;
  readonly endpoint: string | null;
  /** The endpoint is where it was heard from, not what it says. */
  readonly discovered: boolean;
  readonly internalIP: string | null;
  readonly podCIDRs: readonly string[];
  readonly keepalive: number;
  /** Unix seconds of the last heart-beat. */
  readonly lastSeen: number | null;
  /** Unix seconds since when it does not answer. */
  readonly silentSince: number | null;
}

export interface MapPeer {
  readonly ready: boolean;
  readonly allowedIPs: readonly string[];
  readonly endpoint: string | null;
  readonly keepalive: number;
}

/** Two members that have a tunnel with each other; `ab` is what goes from `a` to `b`. */
export interface MapTunnel {
  readonly a: string;
  readonly b: string;
  /** `b` is a Peer. */
  readonly toPeer: boolean;
  /** Who passes on what the two send each other, since they have no tunnel of their own. */
  readonly relay: string | null;
  /** Somebody who can be asked told of it. */
  readonly measured: boolean;
  /** Unix seconds; null: never. */
  readonly lastHandshake: number | null;
  readonly roundTripMs: number | null;
  /** Bytes per second. */
  readonly rateAB: number;
  readonly rateBA: number;
  /** Share of the bytes sent that did not arrive, over about a minute; null where that cannot be told. */
  readonly lossAB: number | null;
  readonly lossBA: number | null;
  /** Of the path under it: the largest packet that gets to the other end whole. */
  readonly mtu: number | null;
  /** Where each is dialled. */
  readonly endpointA: string | null;
  readonly endpointB: string | null;
}

export interface MapProblem {
  readonly code: string;
  readonly severity: 'fault' | 'notice';
  /** `node aws-1` */
  readonly subject: string;
  readonly what: string;
  readonly remedy: string;
}

export interface MeshSnapshot {
  /** Unix milliseconds. */
  readonly at: number;
  /** Why there is nothing newer, as a sentence; null when all is of this moment. */
  readonly trouble: string | null;
  readonly granularity: string;
  readonly subnet: string;
  /** By name. */
  readonly nodes: Readonly<Record<string, MapNode>>;
  readonly peers: Readonly<Record<string, MapPeer>>;
  /** By `a|b`. */
  readonly tunnels: Readonly<Record<string, MapTunnel>>;
  readonly problems: readonly MapProblem[];
}

/** One sample of the last hour, as the slider shows it. */
export interface SampleSummary {
  readonly at: number;
  /** Bytes per second through all tunnels. */
  readonly rate: number;
  readonly faults: number;
  readonly silent: number;
}

export const tunnelId = (a: string, b: string): string => `${a}|${b}`;

export const summaryOf = ({ at, tunnels, problems, nodes }: MeshSnapshot): SampleSummary => ({
  at,
  rate: Object.values(tunnels).reduce((sum, { rateAB, rateBA }) => sum + rateAB + rateBA, 0),
  faults: problems.filter(({ severity }) => severity === 'fault').length,
  silent: Object.values(nodes).filter(({ state }) => state === 'silent').length,
});
