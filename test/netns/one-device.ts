/**
 * One running device, in the foreground, with its log.
 * @module
 */
import { type ChildProcess, execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { end, type Host, kilowireWg, run, until } from './host.ts';

export const socketPath = (link: string): string => `/var/run/wireguard/${link}.sock`;

export const isSocket = (link: string): boolean =>
  statSync(socketPath(link), { throwIfNoEntry: false })?.isSocket() ?? false;

/** Runs `wg` with something on its standard input. */
export const wgWith = (input: string, ...args: string[]): string =>
  execFileSync('wg', args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'], timeout: 60_000 });

export const publicKeyOf = (privateKey: string): string => wgWith(privateKey, 'pubkey').trim();

/** A key nobody has the private half of. */
export const somePublicKey = (): string => publicKeyOf(run('wg', 'genkey'));

export class OneDevice {
  readonly link: string;
  readonly process: ChildProcess;
  log = '';
  readonly #exit: Promise<number | null>;

  private constructor(link: string, process: ChildProcess) {
    this.link = link;
    this.process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.log += chunk.toString();
      });
    }
    this.#exit = new Promise((resolve) => process.once('close', resolve));
  }

  static async start(
    host: Host,
    link: string,
    environment: Readonly<Record<string, string>> = {},
    wrapper: readonly string[] = [],
  ): Promise<OneDevice> {
    const child = host.spawn([...wrapper, kilowireWg, '-f', link], { LOG_LEVEL: 'verbose', ...environment });
    const device = new OneDevice(link, child);
    const isStarted = () => device.log.includes('Data plane ready') || child.exitCode !== null;
    await until(`${link} to start`, isStarted, 20_000);
    if (child.exitCode !== null) throw new Error(`${link} did not start: ${device.log}`);
    return device;
  }

  /** The exit code, once the process has ended by itself. */
  async ended(timeout = 5000): Promise<number | null> {
    const late = new Promise<never>((_, reject) =>
      setTimeout(
        () => reject(new Error(`${this.link} still runs after ${timeout} ms:\n${this.log}`)),
        timeout,
      ),
    );
    return Promise.race([this.#exit, late]);
  }

  get isRunning(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  async close(): Promise<void> {
    await end(this.process);
  }
}
