/**
 * What a runtime may get wrong, and the words it is told in (those of Go's skeleton).
 * @module
 */
import { describe, expect, test } from 'vitest';
import type { CniError } from '../../../src/cni/cni-error.ts';
import { parseRequest, parseVerb } from '../../../src/cni/request.ts';

const env = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'pod-1',
  CNI_NETNS: '/run/netns/x',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin:/usr/lib/cni',
};
const stdin = JSON.stringify({ cniVersion: '1.0.0', name: 'net', type: 'kilowire' });

const failure = (run: () => unknown): { number: number; message: string; details: string } => {
  try {
    run();
  } catch (error) {
    const { number, message, details } = error as CniError;
    return { number, message, details };
  }
  throw new Error('it did not fail');
};

const add = (change: Record<string, string>, text = stdin) =>
  parseRequest('ADD', { ...env, ...change }, () => text);

describe('parseRequest', () => {
  test('reads environment and configuration', () => {
    expect(add({ CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=web-0;FOO=bar' })).toMatchObject({
      verb: 'ADD',
      containerId: 'pod-1',
      netns: '/run/netns/x',
      ifname: 'eth0',
      path: ['/opt/cni/bin', '/usr/lib/cni'],
      cniVersion: '1.0.0',
      network: 'net',
    });
  });

  test('names all missing variables at once, and does not wait for stdin then', () => {
    const run = () =>
      parseRequest('ADD', { CNI_COMMAND: 'ADD', CNI_NETNS: '' }, () => {
        throw new Error('stdin was read');
      });
    expect(failure(run)).toMatchObject({
      number: 4,
      message: 'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing',
    });
  });

  test.each([
    ['DEL', { CNI_NETNS: '' }],
    ['STATUS', { CNI_PATH: '', CNI_CONTAINERID: '', CNI_IFNAME: '', CNI_NETNS: '' }],
    ['GC', { CNI_CONTAINERID: '', CNI_IFNAME: '', CNI_NETNS: '' }],
  ] as const)('%s asks for no more than the specification says', (verb, change) => {
    const text = JSON.stringify({ cniVersion: '1.1.0', name: 'net' });
    expect(parseRequest(verb, { ...env, ...change }, () => text).verb).toBe(verb);
  });

  test.each([
    [{ CNI_CONTAINERID: '../x' }, 4, 'invalid characters in containerID', '../x'],
    [
      { CNI_IFNAME: 'a234567890123456' },
      4,
      'interface name is too long',
      'interface name should be less than 16 characters',
    ],
    [
      { CNI_IFNAME: 'ääääääää' },
      4,
      'interface name is too long',
      'interface name should be less than 16 characters',
    ],
    [{ CNI_IFNAME: '..' }, 4, 'interface name is . or ..', ''],
    [{ CNI_IFNAME: 'a/b' }, 4, 'interface name contains / or : or whitespace characters', ''],
    [{ CNI_IFNAME: 'a:b' }, 4, 'interface name contains / or : or whitespace characters', ''],
    [{ CNI_IFNAME: 'a\u00a0b' }, 4, 'interface name contains / or : or whitespace characters', ''],
    [{ CNI_ARGS: 'FOO' }, 4, 'ARGS: invalid pair "FOO"', ''],
    [{ CNI_ARGS: 'FOO=1' }, 4, 'ARGS: unknown args ["FOO=1"]', ''],
  ])('%o is refused', (change, number, message, details) => {
    expect(failure(() => add(change))).toEqual({ number, message, details });
  });

  test.each([
    ['{"name":"net"', 6, /^error unmarshall network config: /],
    ['', 6, /^error unmarshall network config: stdin is empty$/],
    ['[]', 6, /^error unmarshall network config: /],
    ['{"cniVersion":"1.0.0"}', 7, /^missing network name$/],
    ['{"cniVersion":"1.0.0","name":"a/b"}', 7, /^invalid characters found in network name$/],
    ['{"cniVersion":"9.9.9","name":"net"}', 1, /^incompatible CNI versions$/],
    ['{"cniVersion":1,"name":"net"}', 7, /"cniVersion" must be a string/],
  ])('stdin %s is refused', (text, number, message) => {
    const told = failure(() => add({}, text));
    expect(told.number).toBe(number);
    expect(told.message).toMatch(message);
  });

  test('says which versions it speaks', () => {
    expect(failure(() => add({}, '{"cniVersion":"9.9.9","name":"net"}')).details).toBe(
      'config is "9.9.9", plugin supports ["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]',
    );
  });

  test('a configuration without version is of 0.1.0', () => {
    expect(add({}, '{"NAME":"net"}')).toMatchObject({ cniVersion: '0.1.0', network: 'net' });
  });

  test.each([
    ['CHECK', '0.3.1'],
    ['GC', '1.0.0'],
    ['STATUS', '1.0.0'],
  ] as const)('%s did not exist in %s', (verb, cniVersion) => {
    const text = JSON.stringify({ cniVersion, name: 'net' });
    expect(failure(() => parseRequest(verb, env, () => text))).toMatchObject({
      number: 1,
      message: `config version does not allow ${verb}`,
    });
  });

  test('a verb that does not exist is named', () => {
    expect(failure(() => parseVerb({ CNI_COMMAND: 'ADDD' }))).toMatchObject({
      number: 4,
      message: 'unknown CNI_COMMAND: ADDD',
    });
    expect(failure(() => parseVerb({ CNI_COMMAND: 'constructor' })).number).toBe(4);
  });
});
