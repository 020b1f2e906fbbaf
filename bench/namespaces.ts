/**
 * Grounds to measure on: two network namespaces joined by a veth pair, one ground for each of the two programs, so that both
 * are up all the time and take turns.
 *
 *     kwb-a  10.9.0.1 kwba0 ══ 192.0.2.1 ── veth ── 192.0.2.2 ══ kwbb0 10.9.0.2  kwb-b
 *     kwb-c                        the same, for the other program                  kwb-d
 *
 * Needs root and Debian's iproute2.
 * @module
 */
import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

export interface Side {
  readonly namespace: string;
  readonly link: string;
  readonly underlay: string;
  readonly underlay6: string;
  readonly overlay: string;
  readonly overlay6: string;
}

/** A sends, B receives. */
export interface Ground {
  readonly a: Side;
  readonly b: Side;
}

const side = (letter: string, host: 1 | 2): Side => ({
  namespace: `kwb-${letter}`,
  link: `kwb${letter}0`,
  underlay: `192.0.2.${host}`,
  underlay6: `2001:db8:1::${host}`,
  overlay: `10.9.0.${host}`,
  overlay6: `fd09::${host}`,
});

export const grounds: readonly [Ground, Ground] = [
  { a: side('a', 1), b: side('b', 2) },
  { a: side('c', 1), b: side('d', 2) },
];
/** For a program that is measured by itself. */
export const { a: sideA, b: sideB } = grounds[0];

const VETH = 'kwbv';

export const ip = (...args: string[]): void => {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

/** Runs a program in a namespace and returns what it printed; `timeout` in ms ends it. */
export const inNamespace = (namespace: string, args: readonly string[], timeout = 120_000): string =>
  execFileSync('ip', ['netns', 'exec', namespace, ...args], {
    encoding: 'utf8',
    timeout,
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 26,
  });

/** The same, while others run beside it. */
export async function inNamespaceAsync(
  namespace: string,
  args: readonly string[],
  timeout = 120_000,
): Promise<string> {
  const options = { encoding: 'utf8' as const, timeout, maxBuffer: 1 << 26 };
  return (await promisify(execFile)('ip', ['netns', 'exec', namespace, ...args], options)).stdout;
}

export function makeNamespaces(): void {
  removeNamespaces();
  for (const { a, b } of grounds) {
    for (const { namespace } of [a, b]) {
      ip('netns', 'add', namespace);
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
    }
    const peer = ['peer', 'name', VETH, 'netns', b.namespace];
    ip('link', 'add', VETH, 'netns', a.namespace, 'type', 'veth', ...peer);
    for (const { namespace, underlay, underlay6 } of [a, b]) {
      ip('-n', namespace, 'addr', 'add', `${underlay}/24`, 'dev', VETH);
      ip('-n', namespace, 'addr', 'add', `${underlay6}/64`, 'dev', VETH, 'nodad');
      // Otherwise the kernel looks for routers through the tunnel, for minutes.
      setting(namespace, 'net.ipv6.conf.default.router_solicitations', '0');
      ip('-n', namespace, 'link', 'set', VETH, 'up');
    }
  }
}

function setting(namespace: string, name: string, value: string): void {
  inNamespace(namespace, ['sysctl', '-qw', `${name}=${value}`], 5000);
}

/** The largest packet the way between the two takes. */
export function setPathMtu({ a, b }: Ground, mtu: number): void {
  for (const { namespace } of [a, b]) ip('-n', namespace, 'link', 'set', VETH, 'mtu', String(mtu));
}

export function removeNamespaces(): void {
  for (const { a, b } of grounds) {
    for (const { namespace } of [a, b]) {
      if (existsSync(`/run/netns/${namespace}`)) ip('netns', 'del', namespace);
    }
  }
}
