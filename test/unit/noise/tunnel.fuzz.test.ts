/**
 * Any bytes, from the network or from the inside: an outcome, never an exception, and nothing that grows.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { World } from './world.ts';

function established() {
  const { world, a, b } = World.pair();
  world.send(a, b, 'hello');
  world.run(100);
  return { world, a, b };
}

describe('a tunnel', () => {
  test('takes any datagram without harm, whatever it claims to be', () => {
    const { world, a, b } = established();
    const indices = b.tunnel.indexCount;
    const head = fc.constantFrom([], [1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0], [4, 0, 0, 0], [4, 1, 0, 0]);
    const size = fc.constantFrom(0, 1, 31, 32, 33, 64, 92, 148, 1452);
    fc.assert(
      fc.property(head, size, fc.uint8Array({ minLength: 64, maxLength: 64 }), (start, length, noise) => {
        const datagram = Uint8Array.from({ length }, (_, i) => start[i] ?? noise[i % noise.length] ?? 0);
        const outcome = b.tunnel.receive(datagram, a.address, world.now);
        expect(['malformed', 'bad-mac1', 'unknown-index', 'bad-cookie']).toContain(outcome);
      }),
      { numRuns: 500 },
    );
    expect(b.tunnel.indexCount).toBe(indices);
    world.send(a, b, 'still here');
    world.run(100);
    expect(b.inbox.at(-1)).toBe('still here');
  });

  test('takes the real messages changed, cut and lengthened at any place', () => {
    const { world, a, b } = established();
    world.send(a, b, 'data');
    const messages = world.sent.map((s) => s.bytes);
    fc.assert(
      fc.property(
        fc.constantFrom(...messages),
        fc.nat({ max: 200 }),
        fc.nat({ max: 255 }),
        fc.integer({ min: -150, max: 40 }),
        (message, at, value, longer) => {
          const bytes = new Uint8Array(Math.max(0, message.length + longer));
          bytes.set(message.subarray(0, bytes.length));
          if (at < bytes.length) bytes[at] = value;
          expect(typeof b.tunnel.receive(bytes, a.address, world.now)).toBe('string');
        },
      ),
      { numRuns: 500 },
    );
    expect(b.tunnel.indexCount).toBeLessThanOrEqual(3);
  });

  test('takes any packet from the inside', () => {
    const { world, a } = established();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (packet) => {
        expect(['malformed', 'no-route', 'sent']).toContain(a.tunnel.send(packet, world.now));
      }),
      { numRuns: 300 },
    );
    expect(a.tunnel.send(new Uint8Array(70_000).fill(0x45), world.now)).toBe('malformed');
  });

  test('takes what a peer with a good key puts inside, down to nothing', () => {
    const { world, a, b } = established();
    const { transport } = a.tunnel;
    transport.allowedIps.insert(new Uint8Array(4), 0, 0);
    transport.allowedIps.insert(new Uint8Array(16), 0, 0);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 120 }), (noise) => {
        const packet = noise.slice();
        packet[0] = (packet[0] as number) & 1 ? 0x45 : 0x60;
        if (a.tunnel.send(packet, world.now) !== 'sent') return;
        const sent = world.sent.at(-1);
        const outcome = b.tunnel.receive(sent?.bytes ?? packet, a.address, world.now);
        expect(['data', 'bad-packet', 'wrong-source']).toContain(outcome);
      }),
      { numRuns: 300 },
    );
  });
});
