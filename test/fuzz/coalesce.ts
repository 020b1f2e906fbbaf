/**
 * Decrypted packets joined into trains. Sound ones become what the twin makes of them; of damaged ones as many come out
 * as went in, nothing outside of the slots is written, and nothing behind a packet is read.
 * @module
 */
import fc from 'fast-check';
import { GRO_EVEN, GRO_UDP } from '../../src/aead/packet-drops.ts';
import { naiveCoalesce } from '../unit/aead/coalesce.twin.ts';
import { SLOTS, STRIDE } from '../unit/aead/kernel-areas.ts';
import { B4, B6, tcpAt, udpTo } from '../unit/aead/packets.ts';
import { hex, modelled } from './model.ts';
import { areasOf, damaged, flows } from './packets.ts';
import { must } from './target.ts';

interface Input {
  readonly packets: readonly Uint8Array[];
  readonly isSound: boolean;
  readonly options: number;
  readonly width: 128 | 256;
}

const settings = { width: fc.constantFrom<128 | 256>(128, 256) };
const sound = fc.record({
  ...settings,
  packets: flows,
  isSound: fc.constant(true),
  options: fc.constantFrom(0, GRO_UDP, GRO_UDP | GRO_EVEN),
});
const near = damaged(
  fc.constantFrom(tcpAt(B4, 1), tcpAt(B4, 101), tcpAt(B6, 1), tcpAt(B6, 101), udpTo(B4), udpTo(B6)),
).filter((packet) => packet.length > 0);
const unsound = fc.record({
  ...settings,
  packets: fc.array(fc.oneof(near, fc.uint8Array({ minLength: 1, maxLength: 90 })), { maxLength: 30 }),
  isSound: fc.constant(false),
  options: fc.nat(7),
});

function checkSound({ packets, options, width }: Input): void {
  const expected = naiveCoalesce(packets, {
    udp: (options & GRO_UDP) !== 0,
    even: (options & GRO_EVEN) !== 0,
  });
  const found = areasOf(width).coalesce(packets, options);
  must(found.length === expected.length, `${found.length} writes, not ${expected.length}`);
  for (const [i, write] of found.entries()) {
    must(
      Buffer.compare(write, expected[i] ?? new Uint8Array(0)) === 0,
      `write ${i} is another: ${hex(write)}`,
    );
  }
}

function checkUnsound({ packets, options, width }: Input): void {
  const areas = areasOf(width);
  const { kernel, end } = areas;
  kernel.groBegin(areas.slots, STRIDE, SLOTS, options);
  for (const packet of packets) {
    areas.bytes.set(packet, end - packet.length);
    const length = kernel.innerLength(end - packet.length, packet.length);
    must(length <= packet.length && length >= -8, `an inner length of ${length}`);
    must(kernel.groAdd(end - packet.length, packet.length) === 0, 'no room');
  }
  let total = 0;
  for (const write of areas.flush()) total += write[1] === 0 ? 1 : areas.unmerge(write).length;
  must(total === packets.length, `${total} packets of ${packets.length}`);
}

export const coalesce = modelled<Input>({
  name: 'coalesce',
  inputs: fc.oneof(sound, unsound),
  perRound: 400,
  show: ({ packets, options, width }) => `${packets.map(hex).join(' ')} options ${options}, ${width} bit`,
  check: (input) => {
    if (input.isSound) checkSound(input);
    else checkUnsound(input);
    must(areasOf(input.width).guardsHold(), 'wrote outside of its areas');
  },
});
