/**
 * Network namespaces: what `ip netns` makes of ours and we of its, and that a thread always comes back.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, readdirSync, readlinkSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, test } from 'vitest';
import { listLinks } from '../../src/linux/link.ts';
import {
  createNamedNamespace,
  deleteNamedNamespace,
  enterNamespace,
  listNamedNamespaces,
  NamespaceError,
  namespacePath,
  openNamespace,
  openRouteSocketIn,
  readSysctl,
  writeSysctl,
  writeSysctlsIn,
} from '../../src/linux/namespaces.ts';

const NAME = 'kwf-ns';
const here = (): string => readlinkSync('/proc/thread-self/ns/net');

const codeOf = (fn: () => unknown): unknown => {
  try {
    fn();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return 'nothing thrown';
};

describe.skipIf(process.getuid?.() !== 0)('network namespaces', () => {
  afterEach(() => {
    deleteNamedNamespace(NAME);
  });

  test('ip netns knows and enters a namespace we made, with loopback up; this thread stays where it was', () => {
    const before = here();
    const path = createNamedNamespace(NAME);
    expect(here()).toBe(before);
    expect(path).toBe(`/run/netns/${NAME}`);
    expect(execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })).toMatch(
      new RegExp(`^${NAME}\\b`, 'm'),
    );
    execFileSync('ip', ['netns', 'exec', NAME, 'ping', '-c', '1', '-W', '1', '127.0.0.1']);
    expect(listNamedNamespaces()).toContain(NAME);
    execFileSync('ip', ['netns', 'delete', NAME]);
    expect(listNamedNamespaces()).not.toContain(NAME);
  });

  test('we enter and delete a namespace ip netns made', () => {
    execFileSync('ip', ['netns', 'add', NAME]);
    const socket = openRouteSocketIn(namespacePath(NAME));
    expect(listLinks(socket).map((link) => [link.name, link.up])).toEqual([['lo', false]]);
    socket.close();
    expect(deleteNamedNamespace(NAME)).toBe(true);
    expect(existsSync(namespacePath(NAME))).toBe(false);
  });

  test('one that exists cannot be made again, one that is gone can be deleted again', () => {
    createNamedNamespace(NAME);
    expect(codeOf(() => createNamedNamespace(NAME))).toBe('ERR_NAMESPACE_EXISTS');
    expect(listNamedNamespaces()).toContain(NAME);
    expect(deleteNamedNamespace(NAME)).toBe(true);
    expect(deleteNamedNamespace(NAME)).toBe(false);
    expect(codeOf(() => openNamespace(namespacePath(NAME)))).toBe('ERR_NAMESPACE_MISSING');
  });

  test.each(['', '.', '..', 'a/b', '../run', 'a b', 'x'.repeat(256)])('"%s" is no name', (name) => {
    expect(codeOf(() => namespacePath(name))).toBe('ERR_NAMESPACE_NAME');
  });

  test('the thread comes back also when the function throws, and leaves no descriptor open', () => {
    const path = createNamedNamespace(NAME);
    const before = here();
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const open = descriptors();
    for (let round = 0; round < 50; round++) {
      expect(() =>
        enterNamespace(path, () => {
          expect(here()).not.toBe(before);
          throw new Error('inside');
        }),
      ).toThrow('inside');
    }
    expect(here()).toBe(before);
    expect(descriptors()).toBe(open);
  });

  test('a promise from inside is refused: it would go on outside', () => {
    const path = createNamedNamespace(NAME);
    expect(codeOf(() => enterNamespace(path, async () => 1))).toBe('ERR_NAMESPACE_ASYNC');
    expect(() => enterNamespace(path, async () => 1)).toThrow(NamespaceError);
  });

  test('a descriptor serves as well as a path, and stays open', () => {
    const fd = openNamespace(createNamedNamespace(NAME));
    const inside = enterNamespace(fd, here);
    expect(inside).toBe(enterNamespace(fd, here));
    expect(inside).not.toBe(here());
    closeSync(fd);
  });

  test('sysctls are written inside and not here', () => {
    const path = createNamedNamespace(NAME);
    const before = readSysctl('net.ipv4.ip_forward');
    writeSysctlsIn(path, { 'net.ipv4.ip_forward': 1, 'net/ipv4/conf/all/rp_filter': 2 });
    expect(enterNamespace(path, () => readSysctl('net/ipv4/ip_forward'))).toBe('1');
    const outside = execFileSync('ip', [
      'netns',
      'exec',
      NAME,
      'cat',
      '/proc/sys/net/ipv4/conf/all/rp_filter',
    ]);
    expect(outside.toString().trim()).toBe('2');
    enterNamespace(path, () => writeSysctl('net/ipv4/ip_forward', 0));
    expect(enterNamespace(path, () => readSysctl('net/ipv4/ip_forward'))).toBe('0');
    expect(readSysctl('net.ipv4.ip_forward')).toBe(before);
  });

  test('thirty namespaces are made and removed', () => {
    const names = Array.from({ length: 30 }, (_, at) => `${NAME}-${at}`);
    try {
      for (const name of names) createNamedNamespace(name);
      expect(listNamedNamespaces()).toEqual(expect.arrayContaining(names));
    } finally {
      for (const name of names) deleteNamedNamespace(name);
    }
    expect(listNamedNamespaces().filter((name) => names.includes(name))).toEqual([]);
  });

  test("in a worker it is the worker's own thread that moves", async () => {
    const path = createNamedNamespace(NAME);
    const before = here();
    const source = `
      const { parentPort } = require('node:worker_threads');
      const { readlinkSync } = require('node:fs');
      import(${JSON.stringify(new URL('../../src/linux/namespaces.ts', import.meta.url).href)}).then((ns) => {
        const here = () => readlinkSync('/proc/thread-self/ns/net');
        parentPort.postMessage([here(), ns.enterNamespace(${JSON.stringify(path)}, here), here()]);
      });`;
    const worker = new Worker(source, { eval: true });
    const [start, inside, end] = await new Promise<string[]>((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    await worker.terminate();
    expect(start).toBe(before);
    expect(end).toBe(before);
    expect(inside).toBe(enterNamespace(path, here));
    expect(here()).toBe(before);
  });
});
