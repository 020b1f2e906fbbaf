/**
 * Two network namespaces joined by a veth pair:
 *
 *     kwb-a  10.9.0.1 kwba0 ══ 192.0.2.1 ── veth ── 192.0.2.2 ══ kwbb0 10.9.0.2  kwb-b
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

export const sideA: Side = {
  namespace: 'kwb-a',
  link: 'kwba0',
  underlay: '192.0.2.1',
  underlay6: '2001:db8:1::1',
  overlay: '10.9.0.1',
  overlay6: 'fd09::1',
};
export const sideB: Side = {
  namespace: 'kwb-b',
  link: 'kwbb0',
  underlay: '192.0.2.2',
  underlay6: '2001:db8:1::2',
  overlay: '10.9.0.2',
  overlay6: 'fd09::2',
};

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
  for (const { namespace } of [sideA, sideB]) {
    ip('netns', 'add', namespace);
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
  }
  const [a, b] = [sideA.namespace, sideB.namespace];
  ip('link', 'add', VETH, 'netns', a, 'type', 'veth', 'peer', 'name', VETH, 'netns', b);
  for (const { namespace, underlay, underlay6 } of [sideA, sideB]) {
    ip('-n', namespace, 'addr', 'add', `${underlay}/24`, 'dev', VETH);
    ip('-n', namespace, 'addr', 'add', `${underlay6}/64`, 'dev', VETH, 'nodad');
    ip('-n', namespace, 'link', 'set', VETH, 'up');
  }
}

/** The largest packet the way between the two takes. */
export function setPathMtu(mtu: number): void {
  for (const { namespace } of [sideA, sideB]) ip('-n', namespace, 'link', 'set', VETH, 'mtu', String(mtu));
}

export function removeNamespaces(): void {
  for (const { namespace } of [sideA, sideB]) {
    if (existsSync(`/run/netns/${namespace}`)) ip('netns', 'del', namespace);
  }
}
