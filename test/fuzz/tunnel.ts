/**
 * A tunnel with a session, and everything that was sent to it once: as it was, again, changed, cut and lengthened, from
 * any address. Only what was really sent comes through, and once.
 * @module
 */
import { World } from '../unit/noise/world.ts';
import { FuzzRandom, mutate } from './random.ts';
import { FuzzFault, type FuzzTarget, must } from './target.ts';

const ROUND = 4_000;
const PACKETS = 24;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

export const tunnel: FuzzTarget = {
  name: 'tunnel',
  round(seed, scale) {
    const random = new FuzzRandom(seed);
    const { world, a, b } = World.pair({ seed });
    world.send(a, b, 'hello');
    world.run(100);
    // What follows is caught on the way.
    world.filter = () => true;
    for (let i = 0; i < PACKETS; i += 1) world.send(a, b, 'x'.repeat(random.below(200)));
    const captured = world.sent.map(({ bytes }) => bytes);
    const waiting = new Set(
      world.sent.filter(({ from, fate }) => from === a && fate === 'lost').map(({ bytes }) => hex(bytes)),
    );
    must(waiting.size === PACKETS, 'nothing was caught');
    const indices = b.tunnel.indexCount;
    const count = Math.ceil(ROUND * scale);
    let datagram = new Uint8Array(0);
    try {
      for (let i = 0; i < count; i += 1) {
        const original = random.pick(captured);
        datagram = Uint8Array.from(random.below(16) === 0 ? original : mutate(random, original, 3));
        const source = random.below(4) === 0 ? random.bytes(random.below(2) === 0 ? 6 : 18) : a.address;
        b.tunnel.isUnderLoad = random.below(8) === 0;
        const outcome = b.tunnel.receive(datagram, source, world.now + (i >> 6));
        if (outcome !== 'data' && outcome !== 'keepalive') continue;
        must(waiting.delete(hex(datagram)), `${outcome} out of what was not sent, or for the second time`);
      }
      // One initiation may be answered once more when it is taken for new; nothing else takes an index.
      must(b.tunnel.indexCount <= indices + 1, `${b.tunnel.indexCount - indices} indices were taken`);
    } catch (cause) {
      throw new FuzzFault('tunnel', seed, datagram, cause);
    }
    return count;
  },
};
