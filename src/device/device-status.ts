/**
 * What a device tells of itself: its peers as the control thread configured them, with what the data plane counted.
 * @module
 */
import type { PeerStatus } from '../noise/device-config.ts';
import { type DropReason, dropReasons } from '../noise/handshake-outcome.ts';
import type { Handshaker } from '../noise/handshaker.ts';
import { ENDPOINT_SIZE } from '../tun/endpoint.ts';
import type { HandshakeJournal } from './device-event.ts';
import type { PeerBook } from './peer-book.ts';
import { endpointOf, type PlaneSnapshot } from './plane-protocol.ts';

export interface StatusSources {
  readonly book: PeerBook;
  readonly handshaker: Handshaker;
  readonly journal: HandshakeJournal;
  /** Of the way to an endpoint record. */
  readonly paths?: { mtu(table: Uint8Array, offset: number): number | undefined };
}

/** In the order the peers were added. The keys are not copies. */
export function peerStatus(sources: StatusSources, snapshot: PlaneSnapshot): PeerStatus[] {
  const { book, handshaker, journal, paths } = sources;
  const { peers: ids, numbers, endpoints } = snapshot;
  const rows = new Map<number, number>();
  ids.forEach((id, row) => {
    rows.set(id, row);
  });
  const peers: PeerStatus[] = [];
  for (const peer of book.all()) {
    const row = rows.get(peer.id);
    const presharedKey = handshaker.presharedKey(peer.id);
    const roundTrip = journal.roundTrip(peer);
    const handshake = row === undefined ? 0 : (numbers[row * 3 + 2] ?? 0);
    const pathMtu = row === undefined ? undefined : paths?.mtu(endpoints, row * ENDPOINT_SIZE);
    const endpoint = row === undefined ? undefined : endpointOf(endpoints, row * ENDPOINT_SIZE);
    peers.push({
      publicKey: peer.publicKey,
      ...(presharedKey === null ? {} : { presharedKey }),
      ...(endpoint === undefined ? {} : { endpoint }),
      persistentKeepalive: peer.keepalive,
      allowedIps: book.allowedIps(peer),
      txBytes: row === undefined ? 0 : (numbers[row * 3] ?? 0),
      rxBytes: row === undefined ? 0 : (numbers[row * 3 + 1] ?? 0),
      lastHandshake: {
        seconds: Math.floor(handshake / 1000),
        nanoseconds: Math.floor((handshake % 1000) * 1e6),
      },
      ...(roundTrip === undefined ? {} : { roundTrip }),
      ...(pathMtu === undefined ? {} : { pathMtu }),
    });
  }
  return peers;
}

/** Both threads' drops by name. Some of a handshake's are found by either. */
export function dropCounts(
  plane: Readonly<Record<string, number>>,
  handshakes: ReadonlyMap<DropReason, number>,
): Record<string, number> {
  const entries = dropReasons.map((reason) => {
    const name = `handshake-${reason}`;
    return [name, (plane[name] ?? 0) + (handshakes.get(reason) ?? 0)] as const;
  });
  return { ...plane, ...Object.fromEntries(entries) };
}
