/**
 * Whole devices against each other: sessions, timers, roaming, replay, as an observer of the network sees them.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { ipv4, type Sent, scene, WALL_OFFSET, World, type WorldNode } from './world.ts';

const SECOND = 1000;

/** A pair with a session that `a` initiated, one packet each way. */
function established(options: ConstructorParameters<typeof World>[0] = {}) {
  const { world, a, b } = World.pair(options);
  world.send(a, b, 'hello');
  world.run(100);
  world.send(b, a, 'hello yourself');
  world.run(100);
  expect(b.inbox).toEqual(['hello']);
  expect(a.inbox).toEqual(['hello yourself']);
  return { world, a, b };
}

/** A packet each way every `interval`, for a while. */
function chat(world: World, a: WorldNode, b: WorldNode, duration: number, interval = SECOND): void {
  for (let t = 0; t < duration; t += interval) {
    world.send(a, b, 'ping');
    world.send(b, a, 'pong');
    world.run(interval);
  }
}

describe('a session', () => {
  test('carries the packet that asked for it, and data both ways', () => {
    const { world, a, b } = World.pair();
    scene(world, () => {
      expect(world.send(a, b, 'one')).toBe('staged');
      world.run(100);
      expect(world.send(a, b, 'two')).toBe('sent');
      expect(world.send(b, a, 'three')).toBe('sent');
      world.run(100);
      expect(b.inbox).toEqual(['one', 'two']);
      expect(a.inbox).toEqual(['three']);
      expect(a.outcomes).toEqual(['established', 'data']);
      expect(b.outcomes).toEqual(['response', 'data', 'data']);
    });
  });

  test('is made with a preshared key, and not when the two differ', () => {
    const { world, a, b } = World.pair({ presharedKey: new Uint8Array(32).fill(7) });
    scene(world, () => {
      world.send(a, b, 'secret');
      world.run(100);
      expect(b.inbox).toEqual(['secret']);
    });
    const other = World.pair({ presharedKey: new Uint8Array(32).fill(7) });
    scene(other.world, () => {
      other.b.tunnel.handshaker.setPresharedKey(0, new Uint8Array(32).fill(8));
      other.world.send(other.a, other.b, 'secret');
      other.world.run(100);
      expect(other.b.inbox).toEqual([]);
      expect(other.a.outcomes).not.toContain('established');
    });
  });

  test('starts with a keepalive when nothing is staged', () => {
    const { world, a, b } = World.pair({ keepalive: 25 });
    scene(world, () => {
      world.run(100);
      expect(world.sent.map((s) => s.kind)).toEqual(['initiation', 'response', 'keepalive']);
      expect(b.tunnel.status(0).hasSession).toBe(true);
      expect(a.tunnel.status(0).lastHandshake).toBeGreaterThan(0);
    });
  });

  test('keeps the order of 128 staged packets and drops the oldest beyond', () => {
    const { world, a, b } = World.pair();
    scene(world, () => {
      for (let i = 0; i < 200; i += 1) world.send(a, b, `${i}`);
      world.run(100);
      expect(b.inbox).toEqual(Array.from({ length: 128 }, (_, i) => `${i + 72}`));
    });
  });

  test('is confirmed to the responder by the first packet, before which it sends nothing under it', () => {
    const { world, a, b } = World.pair();
    scene(world, () => {
      world.filter = (s) => s.from === a && s.kind === 'data';
      world.send(a, b, 'lost');
      world.run(100);
      expect(a.tunnel.status(0).hasSession).toBe(true);
      expect(b.tunnel.status(0).hasSession).toBe(false);
      expect(world.send(b, a, 'too early')).toBe('staged');
      world.run(100);
      expect(world.count(b, 'data')).toBe(0);
      world.filter = () => false;
      world.send(a, b, 'confirms');
      world.run(100);
      expect(b.inbox).toEqual(['confirms']);
      expect(a.inbox).toEqual(['too early']);
    });
  });

  test('counts the bytes that the kernel selftest counts: ten pings after a handshake', () => {
    const { world, a, b } = World.pair();
    scene(world, () => {
      for (let i = 0; i < 10; i += 1) {
        world.send(a, b, 'x'.repeat(64));
        world.run(50);
        world.send(b, a, 'x'.repeat(64));
        world.run(50);
      }
      expect(a.tunnel.status(0)).toMatchObject({ txBytes: 148 + 10 * 128, rxBytes: 92 + 10 * 128 });
      expect(b.tunnel.status(0)).toMatchObject({ txBytes: 92 + 10 * 128, rxBytes: 148 + 10 * 128 });
    });
  });

  test('converges when both sides initiate in the same moment', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const { world, a, b } = World.pair({ seed, jitter: 20 });
      scene(world, () => {
        world.send(a, b, 'from a');
        world.send(b, a, 'from b');
        world.run(20 * SECOND);
        expect(a.inbox).toEqual(['from b']);
        expect(b.inbox).toEqual(['from a']);
        const before = world.sent.length;
        expect(world.send(a, b, 'again')).toBe('sent');
        expect(world.send(b, a, 'again')).toBe('sent');
        world.run(SECOND);
        expect(a.inbox.at(-1)).toBe('again');
        expect(b.inbox.at(-1)).toBe('again');
        expect(world.sent.slice(before).map((s) => s.kind)).toEqual(['data', 'data']);
      });
    }
  });
});

describe('time', () => {
  test('the initiator makes a new session after 120 s of traffic, and no packet is lost over it', () => {
    const { world, a, b } = established();
    scene(world, () => {
      chat(world, a, b, 300 * SECOND);
      const initiations = world.times(a, 'initiation');
      expect(initiations).toHaveLength(3);
      expect((initiations[1] as number) - (initiations[0] as number)).toBeGreaterThan(120 * SECOND);
      expect((initiations[1] as number) - (initiations[0] as number)).toBeLessThan(122 * SECOND);
      expect(world.count(b, 'initiation')).toBe(0);
      expect(b.inbox).toHaveLength(301);
      expect(a.inbox).toHaveLength(301);
    });
  });

  test('an initiator that receives makes a new session from 165 s on, and not before', () => {
    for (const [age, expected] of [
      [164.9, 0],
      [165.2, 1],
    ] as const) {
      const { world, a, b } = established();
      scene(world, () => {
        const start = world.now;
        world.run(1_020 + age * SECOND - start);
        world.send(b, a, 'late');
        world.run(SECOND);
        expect(a.inbox.at(-1)).toBe('late');
        expect(world.count(a, 'initiation', start)).toBe(expected);
        expect(world.count(b, 'initiation')).toBe(0);
      });
    }
  });

  test('a responder does not renew a session however old it is', () => {
    const { world, a, b } = established();
    scene(world, () => {
      world.run(175 * SECOND);
      world.filter = (s) => s.from === a;
      expect(world.send(b, a, 'old but usable')).toBe('sent');
      world.run(100);
      expect(world.count(b, 'initiation')).toBe(0);
    });
  });

  test('data that is not answered is acknowledged by one keepalive after 10 s, and that by nothing', () => {
    const { world, a, b } = established();
    scene(world, () => {
      const start = world.now;
      for (let i = 0; i < 5; i += 1) {
        world.send(a, b, 'one way');
        world.run(100);
      }
      world.run(60 * SECOND);
      expect(world.times(b, 'keepalive', start)).toEqual([start + 10 + 10 * SECOND]);
      // The last packet of the other side was acknowledged too: a had data to send.
      expect(world.count(a, 'keepalive', start)).toBe(0);
    });
  });

  test('data that nothing comes back for starts a handshake after 15 s', () => {
    const { world, a, b } = established();
    scene(world, () => {
      const start = world.now;
      world.filter = (s) => s.from === b;
      world.send(a, b, 'anybody there?');
      world.run(16 * SECOND);
      const [first] = world.times(a, 'initiation', start);
      expect((first as number) - start).toBeGreaterThanOrEqual(15 * SECOND);
      expect((first as number) - start).toBeLessThanOrEqual(15 * SECOND + 333);
    });
  });

  test('an initiation is sent 20 times, about 5 s apart, and then no more until there is traffic', () => {
    const { world, a, b } = World.pair();
    scene(world, () => {
      world.filter = () => true;
      world.send(a, b, 'hello?');
      world.run(300 * SECOND);
      const times = world.times(a, 'initiation');
      expect(times).toHaveLength(20);
      for (let i = 1; i < times.length; i += 1) {
        const gap = (times[i] as number) - (times[i - 1] as number);
        expect(gap).toBeGreaterThanOrEqual(5 * SECOND);
        expect(gap).toBeLessThanOrEqual(5 * SECOND + 333);
      }
      expect(a.tunnel.transport.staged.count(0)).toBe(0);
      // All that is left to do is to wipe the unfinished handshake.
      const left = a.tunnel.nextDeadline() - world.now;
      expect(left).toBeGreaterThan(300 * SECOND);
      world.filter = () => false;
      world.send(a, b, 'back again');
      world.run(SECOND);
      expect(b.inbox).toEqual(['back again']);
    });
  });

  test('a persistent keepalive is sent every interval, alone, and starts handshakes again for ever', () => {
    const { world, a, b } = World.pair({ keepalive: 25 });
    scene(world, () => {
      world.run(100 * SECOND);
      const kept = world.times(a, 'keepalive');
      expect(kept).toHaveLength(4);
      for (let i = 1; i < kept.length; i += 1) {
        expect((kept[i] as number) - (kept[i - 1] as number)).toBeCloseTo(25 * SECOND, 5);
      }
      expect(world.count(b, 'keepalive')).toBe(0);
      world.filter = () => true;
      world.run(600 * SECOND);
      const since = world.now;
      world.run(200 * SECOND);
      expect(world.count(a, 'initiation', since)).toBeGreaterThan(10);
      world.filter = () => false;
      world.run(40 * SECOND);
      expect(a.tunnel.status(0).hasSession).toBe(true);
    });
  });

  test('a persistent keepalive is silent while there is traffic', () => {
    const { world, a, b } = established();
    scene(world, () => {
      a.tunnel.setKeepalive(0, 5, world.now);
      world.run(100);
      const start = world.now;
      chat(world, a, b, 60 * SECOND);
      expect(world.count(a, 'keepalive', start)).toBe(0);
    });
  });

  test('a session neither sends nor receives after 180 s', () => {
    const { world, a, b } = established();
    scene(world, () => {
      world.filter = (s) => s.kind === 'initiation';
      world.run(170 * SECOND);
      expect(world.send(b, a, 'just in time')).toBe('sent');
      world.run(SECOND);
      expect(a.inbox.at(-1)).toBe('just in time');
      world.filter = (s) => s.kind === 'initiation' || s.kind === 'data';
      expect(world.send(b, a, 'held up')).toBe('sent');
      const held = world.sent.at(-1) as Sent;
      world.run(10 * SECOND);
      expect(world.send(b, a, 'too late')).toBe('staged');
      expect(world.send(a, b, 'too late')).toBe('staged');
      world.inject(held, b.address, a.address);
      world.run(100);
      expect(a.outcomes.at(-1)).toBe('unknown-index');
      expect(a.inbox.at(-1)).toBe('just in time');
    });
  });

  test('keys are wiped 540 s after the last handshake, and then nothing wakes the device', () => {
    const { world, a, b } = established();
    scene(world, () => {
      world.run(530 * SECOND);
      expect(a.tunnel.status(0).hasSession).toBe(true);
      world.run(20 * SECOND);
      for (const node of [a, b]) {
        expect(node.tunnel.status(0).hasSession).toBe(false);
        expect(node.tunnel.indexCount).toBe(0);
        expect(node.tunnel.nextDeadline()).toBe(Number.POSITIVE_INFINITY);
      }
    });
  });

  test('a clock that is set back a day, on again, and back once more costs nothing', () => {
    const { world, a, b } = established();
    scene(world, () => {
      const day = 86_400 * SECOND;
      for (const offset of [-day, day, -day, 0]) {
        for (const node of [a, b]) node.tunnel.wallOffset = WALL_OFFSET + offset;
        chat(world, a, b, 250 * SECOND);
      }
      expect(b.inbox).toHaveLength(1001);
      expect(a.inbox).toHaveLength(1001);
      // One a rekey and none more: no label was refused.
      const times = world.times(a, 'initiation');
      const gaps = times.slice(1).map((at, i) => at - (times[i] as number));
      expect(gaps.every((gap) => gap > 119 * SECOND && gap < 123 * SECOND)).toBe(true);
      expect(times.length).toBeGreaterThanOrEqual(8);
      expect(world.count(b, 'initiation')).toBe(0);
    });
  });

  test('a day in which nobody was awake ends with a handshake and the packet that asked for it', () => {
    const { world, a, b } = established();
    scene(world, () => {
      // The machine sleeps: the clock goes on, and no timer is served before it wakes.
      world.now += 86_400 * SECOND;
      world.send(a, b, 'good morning');
      world.run(SECOND);
      expect(b.inbox.at(-1)).toBe('good morning');
      expect(world.count(a, 'initiation')).toBe(2);
      expect(a.tunnel.indexCount).toBeLessThanOrEqual(2);
    });
  });

  test('indices of sessions are given back, however often they are renewed', () => {
    const { world, a, b } = established();
    scene(world, () => {
      chat(world, a, b, 1800 * SECOND, 5 * SECOND);
      expect(a.tunnel.indexCount).toBeLessThanOrEqual(3);
      expect(b.tunnel.indexCount).toBeLessThanOrEqual(3);
    });
  });
});

describe('the network', () => {
  test('a node whose address changes is followed as soon as it sends anything authentic', () => {
    const { world, a, b } = established();
    scene(world, () => {
      a.address = Uint8Array.of(198, 51, 100, 9, 1, 2);
      world.send(b, a, 'into the void');
      world.run(100);
      world.send(a, b, 'I moved');
      world.run(100);
      expect(b.tunnel.status(0).endpoint).toEqual(a.address);
      world.send(b, a, 'found you');
      world.run(100);
      expect(a.inbox.at(-1)).toBe('found you');
    });
  });

  test('a replayed datagram is dropped and does not move the endpoint', () => {
    const { world, a, b } = established();
    scene(world, () => {
      world.send(a, b, 'once');
      world.run(100);
      const data = world.sent.filter((s) => s.kind === 'data' && s.from === a).at(-1);
      world.inject(data as Sent, Uint8Array.of(203, 0, 113, 66, 6, 6), b.address);
      world.run(100);
      expect(b.outcomes.at(-1)).toBe('replayed');
      expect(b.inbox.filter((text) => text === 'once')).toHaveLength(1);
      expect(b.tunnel.status(0).endpoint).toEqual(a.address);
    });
  });

  test('a replayed initiation is dropped', () => {
    const { world, b } = established();
    scene(world, () => {
      const [initiation] = world.sent;
      world.run(SECOND);
      world.inject(initiation as Sent, Uint8Array.of(203, 0, 113, 66, 6, 6), b.address);
      world.run(100);
      expect(b.outcomes.at(-1)).toBe('replayed-timestamp');
    });
  });

  test('a datagram with one bit changed is dropped, whichever bit it is', () => {
    const { world, a, b } = established();
    scene(world, () => {
      world.send(a, b, 'intact');
      const sent = world.sent.at(-1) as Sent;
      for (let bit = 0; bit < sent.bytes.length * 8; bit += 1) {
        const bytes = sent.bytes.slice();
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
        expect(['malformed', 'unknown-index', 'bad-tag']).toContain(
          b.tunnel.receive(bytes, a.address, world.now),
        );
      }
      world.run(100);
      expect(b.inbox.at(-1)).toBe('intact');
    });
  });

  test('a peer may only send from its own addresses, and a more specific range of another wins', () => {
    const world = new World();
    scene(world, () => {
      const [a, b, c] = [world.add('a'), world.add('b'), world.add('c')] as [WorldNode, WorldNode, WorldNode];
      world.link(a, b);
      world.link(c, b);
      world.send(a, b, 'mine');
      world.run(100);
      const forge = (text: string) => a.tunnel.send(ipv4(c.inner, b.inner, text), world.now);
      expect(forge('forged')).toBe('sent');
      world.run(100);
      expect(b.outcomes.at(-1)).toBe('wrong-source');
      expect(b.inbox).toEqual(['mine']);
      b.tunnel.allow(0, { address: Uint8Array.of(10, 0, 0, 0), prefix: 24 });
      forge('still forged');
      world.run(100);
      expect(b.outcomes.at(-1)).toBe('wrong-source');
    });
  });

  test('a responder under load asks for a cookie, and the next initiation has it', () => {
    const { world, a, b } = World.pair();
    scene(world, () => {
      b.tunnel.isUnderLoad = true;
      world.send(a, b, 'patient');
      world.run(100);
      expect(world.count(b, 'cookie')).toBe(1);
      expect(a.outcomes).toEqual(['cookie-stored']);
      world.run(6 * SECOND);
      expect(b.inbox).toEqual(['patient']);
      expect(world.count(a, 'initiation')).toBe(2);
    });
  });

  test('loses, doubles, delays and reorders without losing a session or delivering twice', () => {
    for (let seed = 1; seed <= 8; seed += 1) {
      const { world, a, b } = World.pair({ seed, loss: 0.2, duplicates: 0.2, jitter: 200 });
      scene(world, () => {
        let number = 0;
        for (let t = 0; t < 400; t += 1) {
          for (let i = 0; i < 3; i += 1) {
            world.send(a, b, `${number}`);
            world.send(b, a, `${number}`);
            number += 1;
          }
          world.run(SECOND);
        }
        for (const node of [a, b]) {
          expect(new Set(node.inbox).size).toBe(node.inbox.length);
          expect(node.inbox.length).toBeGreaterThan(number * 0.6);
        }
        world.loss = 0;
        world.run(30 * SECOND);
        world.send(a, b, 'at last');
        world.send(b, a, 'at last');
        world.run(10 * SECOND);
        expect(a.inbox.at(-1)).toBe('at last');
        expect(b.inbox.at(-1)).toBe('at last');
        expect(a.tunnel.indexCount).toBeLessThanOrEqual(4);
      });
    }
  });

  test('six nodes, all talking to all, come through loss and changing addresses', () => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const world = new World({ seed, loss: 0.1, duplicates: 0.05, jitter: 80 });
      scene(world, () => {
        const nodes = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => world.add(name));
        const pairs = nodes.flatMap((x, i) => nodes.slice(i + 1).map((y) => [x, y] as const));
        for (const [x, y] of pairs) world.link(x, y, { keepalive: 25 });
        for (let t = 0; t < 200; t += 1) {
          for (const [x, y] of pairs) {
            world.send(x, y, `${x.name}${t}`);
            world.send(y, x, `${y.name}${t}`);
          }
          // A translator forgets a mapping now and then: same host, another port.
          const moved = nodes[t % nodes.length] as WorldNode;
          if (t % 20 === 10) moved.address = Uint8Array.of(198, 51, 100, moved.inner[3] as number, t, seed);
          world.run(SECOND);
        }
        world.loss = 0;
        world.run(60 * SECOND);
        for (const node of nodes) node.inbox.length = 0;
        for (const [x, y] of pairs) {
          world.send(x, y, x.name);
          world.send(y, x, y.name);
        }
        world.run(20 * SECOND);
        for (const node of nodes) {
          const others = nodes.filter((other) => other !== node).map((other) => other.name);
          expect(node.inbox.toSorted()).toEqual(others);
          expect(node.tunnel.indexCount).toBeLessThanOrEqual(4 * others.length);
        }
      });
    }
  });

  test('the same seed tells the same story', () => {
    const story = (): string => {
      const { world, a, b } = World.pair({ seed: 42, loss: 0.3, duplicates: 0.1, jitter: 50 });
      chat(world, a, b, 200 * SECOND);
      return world.mermaid();
    };
    expect(story()).toBe(story());
  });
});

describe('configuration', () => {
  test('a new private key keeps old sessions receiving and makes new ones to send', () => {
    const { world, a, b } = established();
    scene(world, () => {
      const before = world.count(a, 'initiation');
      const keys = world.add('c').keys;
      a.tunnel.setPrivateKey(keys.privateKey);
      expect(world.send(b, a, 'still heard')).toBe('sent');
      world.run(100);
      expect(a.inbox.at(-1)).toBe('still heard');
      b.tunnel.removePeer(0);
      b.tunnel.addPeer(
        { publicKey: keys.publicKey, allowedIps: [{ address: a.inner, prefix: 32 }] },
        world.now,
      );
      expect(world.send(a, b, 'new name')).toBe('staged');
      world.run(100);
      expect(world.count(a, 'initiation')).toBe(before + 1);
      expect(b.inbox.at(-1)).toBe('new name');
    });
  });

  test('down forgets sessions, up starts again and keeps the counters', () => {
    const { world, a, b } = established();
    scene(world, () => {
      const { txBytes } = a.tunnel.status(0);
      a.tunnel.down();
      expect(a.tunnel.indexCount).toBe(0);
      expect(a.tunnel.nextDeadline()).toBe(Number.POSITIVE_INFINITY);
      expect(world.send(a, b, 'down')).toBe('down');
      a.tunnel.up(world.now);
      expect(a.tunnel.status(0)).toMatchObject({ txBytes, hasSession: false });
      expect(world.send(a, b, 'up')).toBe('staged');
      world.run(100);
      expect(b.inbox.at(-1)).toBe('up');
    });
  });

  test('a peer that is removed is gone, and its number is used again', () => {
    const { world, a, b } = established();
    scene(world, () => {
      a.tunnel.removePeer(0);
      expect(a.tunnel.indexCount).toBe(0);
      expect(world.send(a, b, 'whom?')).toBe('no-route');
      world.send(b, a, 'hello?');
      world.run(100);
      expect(a.outcomes.at(-1)).toBe('unknown-index');
      world.link(a, world.add('c'));
      expect(a.tunnel.status(0).txBytes).toBe(0);
    });
  });

  test('a peer without an endpoint cannot be sent to until it has one', () => {
    const { world, a, b } = World.pair({ oneWay: true });
    scene(world, () => {
      expect(world.send(b, a, 'where are you')).toBe('no-endpoint');
      world.send(a, b, 'here');
      world.run(100);
      expect(world.send(b, a, 'there')).toBe('sent');
    });
  });

  test('says what is wrong with a peer it cannot add', () => {
    const { world, a, b } = World.pair();
    const add = (publicKey: Uint8Array) => () => a.tunnel.addPeer({ publicKey, allowedIps: [] }, world.now);
    expect(add(b.keys.publicKey)).toThrow(expect.objectContaining({ code: 'ERR_PEER_EXISTS' }));
    expect(add(a.keys.publicKey)).toThrow(expect.objectContaining({ code: 'ERR_OWN_KEY' }));
    for (let i = 0; i < 15; i += 1) add(new Uint8Array(32).fill(i + 1))();
    expect(add(new Uint8Array(32).fill(99))).toThrow(expect.objectContaining({ code: 'ERR_TOO_MANY_PEERS' }));
  });
});
