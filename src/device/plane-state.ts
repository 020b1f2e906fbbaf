/**
 * What the data plane tells of itself: a snapshot for people, and the whole of it for the process that takes its place.
 *
 *     drops: count u32, name and f64 … | staged packets dropped f64 | transport (noise/transport-state.ts)
 * @module
 */
import { StateError, StateReader, StateWriter } from '../noise/state-bytes.ts';
import type { Transport } from '../noise/transport.ts';
import { readTransport, writeTransport } from '../noise/transport-state.ts';
import { ENDPOINT_SIZE } from '../tun/endpoint.ts';
import { type DropName, dropNames } from './drops.ts';
import type { PlaneSnapshot } from './plane-protocol.ts';

export interface PlaneParts {
  readonly transport: Transport;
  /** The transport's. */
  readonly memory: Uint8Array;
  readonly drops: Float64Array;
}

export function takeSnapshot({ transport, memory, drops }: PlaneParts, slabBytes: number): PlaneSnapshot {
  const peers: number[] = [];
  for (let peer = 0; peer < transport.peers.limit; peer += 1) if (transport.hasPeer(peer)) peers.push(peer);
  const numbers = new Float64Array(peers.length * 3);
  const endpoints = new Uint8Array(peers.length * ENDPOINT_SIZE);
  peers.forEach((peer, row) => {
    numbers[row * 3] = transport.txBytes(peer);
    numbers[row * 3 + 1] = transport.rxBytes(peer);
    numbers[row * 3 + 2] = transport.peers.lastHandshake(peer);
  });
  // Packets wait for this: records that lie next to each other are copied at once.
  for (let row = 0; row < peers.length; ) {
    const peer = peers[row] as number;
    let count = 1;
    while (peers[row + count] === peer + count) count += 1;
    const at = transport.endpointOffset(peer);
    endpoints.set(memory.subarray(at, at + count * ENDPOINT_SIZE), row * ENDPOINT_SIZE);
    row += count;
  }
  const counts = Object.fromEntries(dropNames.map((name, index) => [name, drops[index] ?? 0]));
  counts['staged-dropped'] = transport.staged.dropped;
  const levels = { slabBytes, stagedBytes: transport.staged.usedBytes };
  return { peers: Int32Array.from(peers), numbers, endpoints, drops: counts, ...levels };
}

/** Everything, once no action is left to do. Full of secrets: whoever gets it wipes it. */
export function writePlane({ transport, memory, drops }: PlaneParts): Uint8Array<ArrayBuffer> {
  const writer = new StateWriter();
  writer.u32(dropNames.length);
  dropNames.forEach((name, index) => {
    writer.text(name);
    writer.f64(drops[index] ?? 0);
  });
  writer.f64(transport.staged.dropped);
  writeTransport(transport, memory, writer);
  return writer.bytes;
}

/**
 * Becomes what was written, and wipes it. `peers`: a number there and the number here, in pairs; those peers are
 * configured, and new. The local indices of the sessions; undefined when the state is no good, and then we are not either.
 */
export function readPlane(parts: PlaneParts, state: Uint8Array, peers: Int32Array): number[] | undefined {
  const { transport, drops } = parts;
  const numbers = new Map<number, number>();
  for (let i = 0; i + 1 < peers.length; i += 2) numbers.set(peers[i] as number, peers[i + 1] as number);
  const reader = new StateReader(state);
  try {
    for (let count = reader.u32(); count > 0; count -= 1) {
      const index = dropNames.indexOf(reader.text() as DropName);
      const dropped = reader.f64();
      if (index >= 0) drops[index] = dropped;
    }
    transport.staged.dropped = reader.f64();
    return readTransport(transport, reader, (id) => numbers.get(id));
  } catch (error) {
    if (error instanceof StateError) return undefined;
    throw error;
  } finally {
    state.fill(0);
  }
}
