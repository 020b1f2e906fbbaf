/**
 * The clients of a cluster as a list: who they are, whether they take part, until when, and where to.
 * @module
 */
import { formatAllowed, formatTime } from '../../agent/peer-terms.ts';
import { formatCidr } from '../../noise/ip.ts';
import { whyPeerNotReady } from '../../routing/peer.ts';
import type { ClusterSnapshot, PeerEntry } from '../cluster-snapshot.ts';
import { EMAIL, TAGS } from './client.ts';

export type ClientState = 'active' | 'disabled' | 'expired' | 'invalid';

export interface ClientEntry {
  readonly name: string;
  /** Ranges it sends from, as text. */
  readonly addresses: readonly string[];
  readonly publicKey: string;
  readonly hasPresharedKey: boolean;
  readonly persistentKeepalive: number;
  readonly state: ClientState;
  /** Why it is invalid, or what of its annotations could not be read; sentences. */
  readonly faults: readonly string[];
  /** RFC 3339; null: without end. */
  readonly expires: string | null;
  /** Null: no bound. */
  readonly allow: readonly string[] | null;
  readonly email: string | null;
  readonly tags: readonly string[];
  /** RFC 3339; null where the API does not tell. */
  readonly created: string | null;
}

export const listClients = ({ peers, now }: ClusterSnapshot): readonly ClientEntry[] =>
  peers.map((entry) => clientEntry(entry, now));

/** `now` in Unix seconds. */
export const clientEntry = ({ resource, peer, invalid, terms }: PeerEntry, now: number): ClientEntry => {
  const { annotations = {}, creationTimestamp } = resource.metadata;
  const why = invalid ?? whyPeerNotReady(peer);
  const isOver = terms.expires !== null && terms.expires <= now;
  return {
    name: peer.name,
    addresses: peer.allowedIPs.map(formatCidr),
    publicKey: peer.key,
    hasPresharedKey: peer.presharedKey !== undefined,
    persistentKeepalive: peer.persistentKeepalive,
    state: why !== null ? 'invalid' : isOver ? 'expired' : terms.enabled ? 'active' : 'disabled',
    faults: [...(why === null ? [] : [`It takes no part: ${why}.`]), ...terms.faults],
    expires: terms.expires === null ? null : formatTime(terms.expires),
    allow: terms.allow === null ? null : terms.allow.map(formatAllowed),
    email: annotations[EMAIL] ?? null,
    tags: (annotations[TAGS] ?? '').split(',').filter((tag) => tag !== ''),
    created: creationTimestamp ?? null,
  };
};
