/**
 * What door and resident say to each other, written here by hand.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { type Environment, parseRequest } from '../../../src/cni/request.ts';
import { canBeServed } from '../../../src/cni/resident/caller.ts';
import { answerMessages, parseDoor, parseDoorRequest } from '../../../src/cni/resident/protocol.ts';

const message = (text: string, stdin: string, length = text.length): Uint8Array =>
  Buffer.concat([
    Buffer.from('kwr1'),
    Buffer.from([length & 255, length >> 8, 0, 0]),
    Buffer.from('efcdab8967452301', 'hex'),
    Buffer.from(text + stdin),
  ]);

describe('a request', () => {
  test('has the name, the environment and the configuration', () => {
    const asked = parseDoorRequest(message('/opt/bridge\0CNI_COMMAND=ADD\0A=b=c\0NOTHING\0A=d\0', '{"a":1}'));
    expect(asked).toMatchObject({
      fingerprint: '0123456789abcdef',
      program: '/opt/bridge',
      stdin: '{"a":1}',
    });
    expect({ ...asked?.env }).toEqual({ CNI_COMMAND: 'ADD', A: 'b=c' });
  });

  test.each([
    ['nothing', new Uint8Array()],
    ['less than a header', Buffer.from('kwr1\0\0\0\0')],
    ['another magic number', Buffer.from('kwr2\0\0\0\0\0\0\0\0\0\0\0\0')],
    ['a text that is longer than it', message('a\0', '', 5000)],
    ['a text that does not end', message('abc', '{}')],
    ['no text', message('', '{}')],
  ])('%s is none', (_, bytes) => {
    expect(parseDoorRequest(bytes)).toBeUndefined();
  });

  test('whatever comes makes no error', () => {
    for (let seed = 1; seed < 3000; seed += 1) {
      const bytes = Uint8Array.from(
        { length: seed % 97 },
        (_, index) => Math.imul(seed, index * 7919 + 31) >>> 13,
      );
      bytes.set(Buffer.from('kwr1').subarray(0, bytes.length));
      expect(() => parseDoorRequest(bytes)).not.toThrow();
    }
  });
});

test('an answer comes in pieces that the door has room for', () => {
  const document = 'ü'.repeat(40_000);
  const messages = answerMessages(document, 1);
  expect(messages.map(([kind, status]) => [kind, status])).toEqual([
    [1, 1],
    [1, 1],
    [2, 1],
  ]);
  expect(messages.every(({ length }) => length <= 32_768)).toBe(true);
  expect(Buffer.concat(messages.map((piece) => piece.subarray(2))).toString()).toBe(document);
  expect(answerMessages('', 0)).toEqual([Uint8Array.of(2, 0)]);
});

test('a door is told by fingerprint and descriptors, and no other text is one', () => {
  expect(parseDoor('0123456789abcdefaaadaabpaaaaaaac')).toEqual({
    fingerprint: '0123456789abcdef',
    status: 3,
    sweeper: 31,
    listener: 0,
    lock: 2,
  });
  for (const text of [
    undefined,
    '',
    '0123456789abcdefaaadaabp',
    '0123456789abcdefaaadaabpaaaaaaa',
    '0123456789abcdeFaaadaabpaaaaaaaa',
    '0123456789abcdefaaadaabzaaaaaaaa',
  ])
    expect(parseDoor(text)).toBeUndefined();
});

describe('is served or not', () => {
  const served = (change: object, env: Environment = {}): boolean => {
    const text = JSON.stringify({ cniVersion: '1.1.0', name: 'n', type: 'kilowire', ...change });
    const variables = {
      CNI_CONTAINERID: 'c',
      CNI_NETNS: '/run/netns/x',
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/opt',
      ...env,
    };
    return canBeServed(
      parseRequest('ADD', variables, () => text),
      variables,
    );
  };

  test('what says all that it means is', () => {
    expect(served({})).toBe(true);
    expect(served({ ipam: { type: 'host-local', resolvConf: '/etc/resolv.conf' } })).toBe(true);
    expect(served({}, { CNI_NETNS: '/proc/17/ns/net' })).toBe(true);
  });

  test.each([
    ['a relative namespace', {}, { CNI_NETNS: 'ns/x' }],
    ["the caller's own process", {}, { CNI_NETNS: '/proc/self/ns/net' }],
    ["the caller's own thread", {}, { CNI_NETNS: '/proc/thread-self/ns/net' }],
    ["a path through the caller's process", { subnetFile: '/proc/self/cwd/subnet.env' }, {}],
    ['a relative path', { subnetFile: 'subnet.env' }, {}],
    ['a relative resolver file', { ipam: { resolvConf: 'resolv.conf' } }, {}],
    ['what waits for the network', { enabledad: true }, {}],
    ['what another program does', { ipam: { type: 'dhcp' } }, {}],
  ])('%s is not', (_, change, env) => {
    expect(served(change, env)).toBe(false);
  });
});
