/**
 * IP packets and trains as a fast-check model, and what an attacker or a broken peer makes of them.
 * @module
 */
import fc from 'fast-check';
import { KernelAreas, simd128, simd256 } from '../unit/aead/kernel-areas.ts';
import { ACK, B4, B6, PSH, pattern, spoilt, tcp, tcpTrain, udp, udpTrain } from '../unit/aead/packets.ts';

const addresses = fc.constantFrom(B4, B6);
const payload = fc
  .tuple(fc.oneof(fc.nat(64), fc.nat(3000)), fc.nat(255))
  .map(([length, seed]) => pattern(length, seed));
const common = { addresses, payload, partial: fc.constant(true), id: fc.nat(65535), tos: fc.nat(255) };
const options = fc.nat(10).map((words) => pattern(words * 4, words));
const tcpTrains = fc
  .tuple(
    fc.record({ ...common, seq: fc.nat(0xffffffff), flags: fc.nat(255), options }),
    fc.integer({ min: 30, max: 2000 }),
  )
  .map(([fields, gsoSize]) => tcpTrain(tcp(fields), gsoSize));
const udpTrains = fc
  .tuple(fc.record(common), fc.integer({ min: 20, max: 2000 }))
  .map(([fields, gsoSize]) => udpTrain(udp(fields), gsoSize));

/** TUN reads as the kernel makes them. */
export const trains = fc.oneof(tcpTrains, udpTrains);

/** Some bytes changed, mostly in the headers, and the end cut off. */
export const damaged = (inputs: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc
    .tuple(inputs, fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 5 }), fc.nat(400))
    .map(([bytes, changes, cut]) => {
      const copy = bytes.slice(0, cut < 120 ? cut : bytes.length);
      for (const [at, value] of changes) if (at < copy.length) copy[at] = value;
      return copy;
    });

/** Packets of two TCP flows and two UDP flows, mostly in sequence. */
export const flows = fc
  .array(
    fc.record({
      of: addresses,
      isTcp: fc.boolean(),
      size: fc.constantFrom(100, 100, 100, 60, 120, 0),
      gap: fc.constantFrom(0, 0, 0, 0, 7, -100),
      flags: fc.constantFrom(ACK, ACK, ACK | PSH, 0x11),
      isBad: fc.constantFrom(false, false, false, true),
    }),
    { maxLength: 30 },
  )
  .map((drawn) => {
    const next = new Map([
      [B4, 1],
      [B6, 0xffffff80],
    ]);
    return drawn.map(({ of, isTcp, size, gap, flags, isBad }, i) => {
      const bytes = pattern(size, i);
      if (!isTcp) return udp({ addresses: of, payload: bytes });
      const seq = ((next.get(of) ?? 0) + gap) >>> 0;
      next.set(of, seq + size);
      const packet = tcp({ addresses: of, payload: bytes, seq, flags });
      return isBad && size > 0 ? spoilt(packet) : packet;
    });
  });

const made = new Map<128 | 256, KernelAreas>();

/** The kernel of that width; one for the whole run. */
export function areasOf(width: 128 | 256): KernelAreas {
  const areas = made.get(width) ?? new KernelAreas(width === 128 ? simd128 : simd256);
  made.set(width, areas);
  return areas;
}
