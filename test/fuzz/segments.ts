/**
 * TUN reads planned, cut and sealed. Sound ones become what the twin makes of them; of damaged ones every planned byte is
 * accounted for, nothing outside of the areas is written, and nothing behind the read is read.
 * @module
 */
import fc from 'fast-check';
import { naivePadded, naiveSegments } from '../unit/aead/segment.twin.ts';
import { hex, modelled } from './model.ts';
import { areasOf, damaged, trains } from './packets.ts';
import { must } from './target.ts';

const MOST_SEGMENTS = 64;
const same = (a: Uint8Array, b: Uint8Array | undefined) => b !== undefined && Buffer.compare(a, b) === 0;

interface Input {
  readonly read: Uint8Array;
  readonly isSound: boolean;
  readonly mtu: number;
  readonly counter: number;
  readonly width: 128 | 256;
}

const inputs: fc.Arbitrary<Input> = fc.record({
  read: trains,
  isSound: fc.constant(true),
  mtu: fc.constantFrom(0, 576, 1280, 1420, 9000),
  counter: fc.constantFrom(0, 7, 0xfffffffe),
  width: fc.constantFrom(128, 256),
});
const damagedInputs = fc
  .tuple(inputs, damaged(fc.oneof(trains, fc.uint8Array({ maxLength: 120 }))))
  .map(([input, read]) => ({ ...input, read, isSound: false }));

function checkSound({ read, mtu, counter, width }: Input): void {
  const areas = areasOf(width);
  const expected = naiveSegments(read);
  const plan = areas.plan(read, mtu);
  must(plan.result === expected.length, `planned ${plan.result} segments, not ${expected.length}`);
  if (plan.result > MOST_SEGMENTS) return;
  const messages = areas.seal(plan, 1, counter, 0);
  for (const [i, message] of messages.entries()) {
    const segment = expected[i];
    must(segment !== undefined, `segment ${i} too many`);
    must(same(areas.open(message), naivePadded(segment, mtu)), `segment ${i} is another`);
  }
  for (const [i, write] of areas.unmerge(read).entries())
    must(same(write.subarray(10), expected[i]), `cut ${i}`);
}

function checkDamaged({ read, mtu, width }: Input): void {
  const areas = areasOf(width);
  const { kernel, end } = areas;
  areas.bytes.set(read, end - read.length);
  const count = kernel.plan(end - read.length, read.length, mtu);
  must(count !== 0 && count >= -7, `planned ${count}`);
  if (count < 0) return;
  for (const i of [0, count >> 1, count - 1]) {
    const size = kernel.cutSegment(i, areas.out);
    must(size >= 30 && size <= read.length, `segment ${i} of ${count} has ${size} bytes`);
    const sealed = kernel.sealPlanned(areas.keyAt, 1, 0, 0, i, 1, areas.out);
    must(sealed >= size + 22 && sealed < size + 38, `sealed ${size - 10} bytes into ${sealed}`);
  }
  must(kernel.cutSegment(count, areas.out) === 0, 'a segment behind the last');
}

export const segments = modelled({
  name: 'segments',
  inputs: fc.oneof(inputs, damagedInputs),
  perRound: 600,
  show: ({ read, mtu, width }) => `${hex(read)} mtu ${mtu}, ${width} bit`,
  check: (input) => {
    if (input.isSound) checkSound(input);
    else checkDamaged(input);
    must(areasOf(input.width).guardsHold(), 'wrote outside of its areas');
  },
});
