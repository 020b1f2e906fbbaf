/**
 * Two network namespaces joined by a veth pair, a WireGuard program in each, and a tunnel between them:
 *
 *     kwb-a  10.9.0.1 kwba0 ══ 192.0.2.1 ── veth ── 192.0.2.2 ══ kwbb0 10.9.0.2  kwb-b
 *
 * Needs root and Debian's iproute2 and wireguard-tools.
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Subject {
  readonly name: string;
  readonly command: string;
  readonly environment?: Readonly<Record<string, string>>;
}

interface Side {
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

const ip = (...args: string[]): void => {
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

export function makeNamespaces(): void {
  removeNamespaces();
  for (const { namespace } of [sideA, sideB]) {
    ip('netns', 'add', namespace);
    ip('-n', namespace, 'link', 'set', 'lo', 'up');
  }
  ip(
    'link',
    'add',
    'kwbv',
    'netns',
    sideA.namespace,
    'type',
    'veth',
    'peer',
    'name',
    'kwbv',
    'netns',
    sideB.namespace,
  );
  for (const { namespace, underlay, underlay6 } of [sideA, sideB]) {
    ip('-n', namespace, 'addr', 'add', `${underlay}/24`, 'dev', 'kwbv');
    ip('-n', namespace, 'addr', 'add', `${underlay6}/64`, 'dev', 'kwbv', 'nodad');
    ip('-n', namespace, 'link', 'set', 'kwbv', 'up');
  }
}

export function removeNamespaces(): void {
  for (const { namespace } of [sideA, sideB]) {
    if (existsSync(`/run/netns/${namespace}`)) ip('netns', 'del', namespace);
  }
}

async function waitFor(what: string, ready: () => boolean, timeout = 10_000): Promise<void> {
  const end = Date.now() + timeout;
  while (!ready()) {
    if (Date.now() > end) throw new Error(`${what} did not come up within ${timeout / 1000} s`);
    await sleep(20);
  }
}

export interface Usage {
  readonly rssMiB: number;
  readonly peakMiB: number;
  readonly cpuSeconds: number;
}

/** Memory and CPU time of a process, from /proc. */
export function usage(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (field: string): number =>
    Number(status.match(new RegExp(`^${field}:\\s*(\\d+)`, 'm'))?.[1] ?? 0);
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  const ticks = Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
  return { rssMiB: kib('VmRSS') / 1024, peakMiB: kib('VmHWM') / 1024, cpuSeconds: ticks / 100 };
}

export interface Tunnel {
  readonly pids: readonly [number, number];
  close(): Promise<void>;
}

export interface TunnelOptions {
  readonly family?: 4 | 6;
  readonly mtu?: number;
}

/** Starts the subject on both sides and joins them; resolves when the first ping has come back. */
export async function openTunnel(subject: Subject, options: TunnelOptions = {}): Promise<Tunnel> {
  const { family = 4, mtu = 1420 } = options;
  const processes: ChildProcess[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-bench-'));
  const close = async (): Promise<void> => {
    await Promise.all(
      processes.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
        await gone;
        clearTimeout(timer);
      }),
    );
  };
  try {
    for (const { namespace, link } of [sideA, sideB]) {
      processes.push(
        spawn('ip', ['netns', 'exec', namespace, subject.command, '-f', link], {
          stdio: 'ignore',
          env: { ...process.env, LOG_LEVEL: 'error', ...subject.environment },
        }),
      );
      await waitFor(`${subject.name} on ${link}`, () => existsSync(`/var/run/wireguard/${link}.sock`));
    }
    const keys = [sideA, sideB].map(() => {
      const privateKey = execFileSync('wg', ['genkey'], { encoding: 'utf8' });
      return {
        privateKey,
        publicKey: execFileSync('wg', ['pubkey'], { encoding: 'utf8', input: privateKey }).trim(),
      };
    });
    for (const [side, other, own, theirs] of [
      [sideA, sideB, keys[0], keys[1]],
      [sideB, sideA, keys[1], keys[0]],
    ] as const) {
      const endpoint = family === 4 ? `${other.underlay}:5001` : `[${other.underlay6}]:5001`;
      const keyFile = join(folder, side.link);
      writeFileSync(keyFile, own?.privateKey ?? '', { mode: 0o600 });
      const peer = ['peer', theirs?.publicKey ?? '', 'endpoint', endpoint];
      const allowed = ['allowed-ips', `${other.overlay}/32,${other.overlay6}/128`];
      const args = [
        'wg',
        'set',
        side.link,
        'listen-port',
        '5001',
        'private-key',
        keyFile,
        ...peer,
        ...allowed,
      ];
      inNamespace(side.namespace, args, 10_000);
      ip('-n', side.namespace, 'addr', 'add', `${side.overlay}/24`, 'dev', side.link);
      ip('-n', side.namespace, 'addr', 'add', `${side.overlay6}/64`, 'dev', side.link, 'nodad');
      ip('-n', side.namespace, 'link', 'set', side.link, 'mtu', String(mtu), 'up');
    }
    inNamespace(sideA.namespace, ['ping', '-c', '5', '-i', '0.2', '-w', '8', sideB.overlay], 10_000);
    const [a, b] = processes.map((child) => child.pid ?? 0);
    return { pids: [a ?? 0, b ?? 0], close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
