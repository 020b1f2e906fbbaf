/**
 * Two devices with a relay between them that reads every nonce, and processes that take them over.
 *
 *     A  10.77.1.1, fd77:1::1 ── relay ── 10.77.2.1, fd77:2::1  B
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { Folder, Host, kilowireWg, root, run, until } from './host.ts';
import type { RelayReport } from './nonce-relay.ts';
import { OneDevice } from './one-device.ts';
import { Side } from './two-devices.ts';

/** A program with what it printed. */
export class Program {
  readonly process: ChildProcess;
  output = '';
  readonly ended: Promise<number | null>;

  constructor(process: ChildProcess) {
    this.process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.output += chunk.toString();
      });
    }
    this.ended = new Promise((resolve) => process.once('close', resolve));
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }
}

/** Starts taking the interface over, in the foreground. */
export const beginTakeover = (
  host: Host,
  link: string,
  environment: Readonly<Record<string, string>> = {},
): Program =>
  new Program(host.spawn([kilowireWg, '-f', '--takeover', link], { LOG_LEVEL: 'verbose', ...environment }));

/** Takes the interface over; resolves when it runs there. */
export async function takeOver(host: Host, link: string): Promise<Program> {
  const program = beginTakeover(host, link);
  const isDecided = () => program.output.includes('Device taken over') || !program.isRunning;
  await until(`${link} to be taken over`, isDecided, 60_000);
  if (!program.isRunning) throw new Error(`${link} was not taken over: ${program.output}`);
  return program;
}

/** For how long the packets stood, in ms, as those that handed over tell. */
export const stops = (programs: readonly { readonly output: string }[]): number[] =>
  programs.flatMap(({ output }) =>
    [...output.matchAll(/runs the interface, after ([\d.]+) ms/g)].map(([, time]) => Number(time)),
  );

interface Outer {
  readonly family: 4 | 6;
  readonly keepalive: number;
}

const addressOf = (family: 4 | 6, network: number, host: number): string =>
  family === 4 ? `10.77.${network}.${host}` : `fd77:${network}::${host}`;

export class TakeoverWorld {
  readonly hosts: readonly [Host, Host, Host];
  readonly a: Side;
  readonly b: Side;
  readonly #relay: Program;
  readonly #folder: Folder;
  readonly #outer: Outer;
  /** Whoever ran, or runs, a device. */
  readonly runners: Map<Side, Program[]>;

  private constructor(
    hosts: readonly [Host, Host, Host],
    sides: readonly [Side, Side],
    relay: Program,
    folder: Folder,
    outer: Outer,
  ) {
    this.#outer = outer;
    this.hosts = hosts;
    [this.a, this.b] = sides;
    this.#relay = relay;
    this.#folder = folder;
    this.runners = new Map(sides.map((side) => [side, [new Program(side.device.process)]]));
  }

  /** `name`: a prefix of at most 8 letters. A knows where B is, B learns it. */
  static async start(name: string, family: 4 | 6 = 4, keepalive = 0): Promise<TakeoverWorld> {
    const hosts = [new Host(`${name}-a`), new Host(`${name}-r`), new Host(`${name}-b`)] as const;
    const [hostA, middle, hostB] = hosts;
    for (const [number, host] of [hostA, hostB].entries()) {
      const link = `${name}v${number + 1}`;
      const peer = ['peer', 'name', link, 'netns', middle.name];
      run('ip', ...['link', 'add', link, 'netns', host.name, 'type', 'veth'], ...peer);
      for (const [end, at] of [
        [host, 1],
        [middle, 2],
      ] as const) {
        end.ip('addr', 'add', `10.77.${number + 1}.${at}/24`, 'dev', link);
        end.ip('addr', 'add', `fd77:${number + 1}::${at}/64`, 'dev', link, 'nodad');
        end.ip('link', 'set', link, 'up');
      }
    }
    const folder = new Folder();
    const sides = (await Promise.all(
      [hostA, hostB].map(async (host, index) => {
        const device = await OneDevice.start(host, `${name}${index + 1}`);
        return new Side(device, host, run('wg', 'genkey').trim(), (index + 1) as 1 | 2);
      }),
    )) as [Side, Side];
    const [a, b] = sides;
    const address = (network: number, host: number): string => addressOf(family, network, host);
    const relay = new Program(
      spawn(
        'ip',
        [
          ...['netns', 'exec', middle.name, process.execPath, join(root, 'test/netns/nonce-relay.ts')],
          ...[address(1, 2), String(b.port), address(2, 2), String(a.port), address(2, 1), String(b.port)],
        ],
        { stdio: ['pipe', 'pipe', 'pipe'] },
      ),
    );
    const world = new TakeoverWorld(hosts, sides, relay, folder, { family, keepalive });
    await Promise.all([world.#configure(a), world.#configure(b)]);
    await until('the tunnel', () => a.reaches(b), 20_000);
    return world;
  }

  async #configure(side: Side): Promise<void> {
    const peer = side === this.a ? this.b : this.a;
    const { family, keepalive } = this.#outer;
    const relay = addressOf(family, 1, 2);
    side.set(
      ...['private-key', this.#folder.write(side.link, side.key), 'listen-port', String(side.port)],
      ...['peer', peer.publicKey, 'allowed-ips', `${peer.overlay}/32,${peer.overlay6}/128`],
      ...['persistent-keepalive', String(keepalive)],
      ...(side === this.a ? ['endpoint', `${family === 4 ? relay : `[${relay}]`}:${peer.port}`] : []),
    );
    side.host.ip('addr', 'add', `${side.overlay}/24`, 'dev', side.link);
    side.host.ip('addr', 'add', `${side.overlay6}/64`, 'dev', side.link, 'nodad');
    await side.up(side.host);
  }

  /** Starts a side anew whose last process is dead. */
  async restart(side: Side): Promise<void> {
    const device = await OneDevice.start(side.host, side.link);
    this.runners.get(side)?.push(new Program(device.process));
    await this.#configure(side);
  }

  /** Takes a side over, and waits for the one before to have ended with 0. */
  async takeOver(side: Side): Promise<void> {
    const runners = this.runners.get(side) ?? [];
    const former = runners.at(-1);
    runners.push(await takeOver(side.host, side.link));
    const code = await former?.ended;
    if (code !== 0) throw new Error(`${side.link}: the former process ended with ${code}: ${former?.output}`);
  }

  /** The one that runs the side now. */
  runner(side: Side): Program {
    return this.runners.get(side)?.at(-1) as Program;
  }

  get stops(): number[] {
    return stops([...this.runners.values()].flat());
  }

  async relayReport(): Promise<RelayReport> {
    this.#relay.process.stdin?.end();
    await this.#relay.ended;
    // Node has things to say about its own innards first.
    return JSON.parse(this.#relay.output.trim().split('\n').at(-1) ?? '') as RelayReport;
  }

  async close(): Promise<void> {
    this.#relay.process.kill('SIGKILL');
    for (const runners of this.runners.values()) {
      for (const { process, isRunning, ended } of runners) {
        if (!isRunning) continue;
        process.kill('SIGTERM');
        const timer = setTimeout(() => process.kill('SIGKILL'), 10_000);
        await ended;
        clearTimeout(timer);
      }
    }
    for (const host of this.hosts) host.remove();
    this.#folder.remove();
  }
}
