/**
 * When a node turns to its next key, and what its files are at each moment.
 * @module
 */
import { existsSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { OwnRotation, withKeysInUse } from '../../../src/agent/key-rotation.ts';
import { rotatingNodeKey } from '../../../src/agent/next-key.ts';
import { keyBytes } from '../../../src/routing/key-text.ts';
import type { Node } from '../../../src/routing/node.ts';
import { keyOf, lookFrom, node } from '../routing/clusters.ts';

const folders: string[] = [];
const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'kilowire-key-'));
  folders.push(path);
  return path;
};
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true });
});

const text = (directory: string, name: string) => readFileSync(join(directory, name), 'latin1');
const mode = (directory: string, name: string) => statSync(join(directory, name)).mode & 0o777;

describe('a next key', () => {
  it('is kept beside the key until it takes its place, and the old one is overwritten', () => {
    const directory = folder();
    const key = rotatingNodeKey(directory);
    const { rotation } = key;
    const before = text(directory, 'key');
    const next = rotation!.announce();
    expect([mode(directory, 'key'), mode(directory, 'key.next')]).toEqual([0o600, 0o600]);
    expect(rotation!.announce()).toBe(next);
    expect([text(directory, 'key'), key.publicKey === next]).toEqual([before, false]);

    const old = openSync(join(directory, 'key'), 'r');
    rotation!.turn();
    expect(key.publicKey).toBe(next);
    expect(Buffer.from(key.privateKey).toString('base64')).toBe(text(directory, 'key'));
    expect([mode(directory, 'key'), existsSync(join(directory, 'key.next'))]).toEqual([0o600, false]);
    const left = Buffer.alloc(100, 1);
    expect(left.subarray(0, readSync(old, left, 0, 100, 0))).toEqual(Buffer.alloc(before.length));
  });

  it('is found again by an agent that was killed before or after', () => {
    const directory = folder();
    const next = rotatingNodeKey(directory).rotation!.announce();
    expect(rotatingNodeKey(directory).rotation!.announce()).toBe(next);
    rotatingNodeKey(directory).rotation!.turn();
    expect(rotatingNodeKey(directory).publicKey).toBe(next);
  });
});

describe('an agent that is asked for another key', () => {
  const make = (name: string, more: Partial<Node> = {}): Node => ({
    ...node({
      name,
      endpoint: `203.0.113.${name.charCodeAt(0)}:1`,
      podCIDR: `10.42.${name.charCodeAt(0)}.0/24`,
    }),
    abilities: new Set(['kilowire'] as const),
    ...more,
  });
  const others = (knownKeys: readonly string[]) => {
    const { abilities: _, ...kilo } = make('k');
    return [make('b', { knownKeys }), kilo];
  };
  const world = () => {
    const turned: (readonly string[])[] = [];
    const clock = { now: 1000 };
    const key = rotatingNodeKey(folder());
    const rotation = new OwnRotation({
      key,
      now: () => clock.now,
      onTurn: (unheard) => turned.push(unheard),
    });
    const topology = lookFrom('a', 'full', { nodes: [make('a'), ...others([])] });
    let said: Readonly<Record<string, string>> = {};
    const pass = (request: string, known: readonly string[]) => {
      const own = {
        annotations: { ...said, 'kilowire.dev/rotate-key': request },
        record: {} as never,
        uid: '',
      };
      rotation.advance(own, others(known), topology);
      said = { ...said, ...rotation.annotations(own, []) };
      return said;
    };
    return { key, pass, turned, clock, rotation };
  };

  it('turns when all agents of ours know it, and does not wait for those of Kilo', () => {
    const { key, pass, turned, rotation } = world();
    const before = key.publicKey;
    const next = pass('1', [])['kilowire.dev/next-key']!;
    pass('1', []);
    pass('1', [keyOf('other')]);
    expect([key.publicKey, turned]).toEqual([before, []]);
    const said = pass('1', [next]);
    expect([key.publicKey, turned]).toEqual([next, [[]]]);
    expect(said).toEqual({ 'kilowire.dev/next-key': '', 'kilowire.dev/key-rotated': '1' });
    expect(rotation.isUnderWay).toBe(false);
    pass('1', []);
    expect(key.publicKey).toBe(next);
    expect(pass('2', [])['kilowire.dev/next-key']).not.toBe('');
  });

  it('waits a minute, no longer', () => {
    const { key, pass, turned, clock } = world();
    const before = key.publicKey;
    pass('1', []);
    clock.now += 59_000;
    pass('1', []);
    expect(key.publicKey).toBe(before);
    clock.now += 2000;
    pass('1', []);
    expect([key.publicKey === before, turned]).toEqual([false, [['b']]]);
  });

  it('that turned and was killed before it said so does not turn again', () => {
    const directory = folder();
    const next = rotatingNodeKey(directory).rotation!.announce();
    rotatingNodeKey(directory).rotation!.turn();
    const key = rotatingNodeKey(directory);
    const rotation = new OwnRotation({ key, now: () => 0, onTurn: () => {} });
    const annotations = { 'kilowire.dev/rotate-key': '1', 'kilowire.dev/next-key': next };
    const own = { annotations, record: {} as never, uid: '' };
    rotation.advance(own, [], null);
    expect(rotation.annotations(own, [])).toEqual({
      'kilowire.dev/next-key': '',
      'kilowire.dev/key-rotated': '1',
    });
    expect(key.publicKey).toBe(next);
  });
});

describe('the others', () => {
  it('take the next key for the key of a node once they have heard it', () => {
    const nodes = [{ ...node({ name: 'a' }), nextKey: keyOf('a2') }, node({ name: 'b' })];
    const device = (seconds: number) => ({
      listenPort: 1,
      peers: [
        {
          publicKey: keyBytes(keyOf('a2')),
          allowedIps: [],
          lastHandshake: { seconds, nanoseconds: 0 },
          txBytes: 0,
          rxBytes: 0,
        },
      ],
    });
    expect(withKeysInUse(nodes, device(0)).map(({ key }) => key)).toEqual([keyOf('a'), keyOf('b')]);
    expect(withKeysInUse(nodes, device(5)).map(({ key }) => key)).toEqual([keyOf('a2'), keyOf('b')]);
    expect(withKeysInUse(nodes, null)).toBe(nodes);
  });
});
