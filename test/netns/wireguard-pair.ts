/**
 * Two hosts with a WireGuard program each and a tunnel between them, configured by Debian's `wg`:
 *
 *     A  10.9.0.1, fd09::1  LINKa ══ 192.0.2.1 ── veth ── 192.0.2.2 ══ LINKb  10.9.0.2, fd09::2  B
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { end, Folder, Host, join2, run, until } from './host.ts';

export interface Side {
  readonly host: Host;
  readonly link: string;
  readonly program: string;
  readonly keyFile: string;
  readonly publicKey: string;
  readonly overlay: string;
  readonly overlay6: string;
  process: ChildProcess | undefined;
}

/** A program that was bound to its control socket just now may not listen yet. */
function answers(link: string): boolean {
  try {
    run('wg', 'show', link);
    return true;
  } catch {
    return false;
  }
}

export interface PairOptions {
  /** Prefix of namespaces and links, at most 8 letters. */
  readonly name: string;
  readonly programs: readonly [string, string];
  readonly psk?: boolean;
  readonly family?: 4 | 6;
  readonly environment?: Readonly<Record<string, string>>;
}

export class WireguardPair {
  readonly a: Side;
  readonly b: Side;
  readonly #folder = new Folder();
  readonly #options: PairOptions;

  constructor(options: PairOptions) {
    this.#options = options;
    const hosts = ['a', 'b'].map((letter) => new Host(`${options.name}-${letter}`));
    join2(hosts[0] as Host, hosts[1] as Host, 'underlay', '192.0.2', '2001:db8:1');
    [this.a, this.b] = [1, 2].map((number, index) => {
      const privateKey = run('wg', 'genkey');
      const link = `${options.name}${index === 0 ? 'a' : 'b'}`;
      return {
        host: hosts[index] as Host,
        link,
        program: options.programs[index] as string,
        keyFile: this.#folder.write(link, privateKey),
        publicKey: execFileSync('wg', ['pubkey'], { encoding: 'utf8', input: privateKey }).trim(),
        overlay: `10.9.0.${number}`,
        overlay6: `fd09::${number}`,
        process: undefined,
      };
    }) as [Side, Side];
  }

  /** Starts a side's program and configures it. */
  async start(side: Side): Promise<void> {
    const { psk = false, family = 4, environment = {} } = this.#options;
    const { host, link } = side;
    const other = side === this.a ? this.b : this.a;
    const socket = `/var/run/wireguard/${link}.sock`;
    // One that a killed program left behind has to give way to a new one.
    const stale = statSync(socket, { throwIfNoEntry: false })?.ctimeMs;
    side.process = host.spawn([side.program, '-f', link], { LOG_LEVEL: 'error', ...environment });
    await until(`${side.program} on ${link}`, () => {
      const now = statSync(socket, { throwIfNoEntry: false })?.ctimeMs;
      return now !== undefined && now !== stale && answers(link);
    });
    const underlay = family === 4 ? '192.0.2.' : '2001:db8:1::';
    const address = `${underlay}${other === this.a ? 1 : 2}`;
    const endpoint = family === 4 ? `${address}:5001` : `[${address}]:5001`;
    const secret = psk
      ? ['preshared-key', this.#folder.write('psk', `${Buffer.alloc(32, 7).toString('base64')}\n`)]
      : [];
    const allowed = ['allowed-ips', `${other.overlay}/32,${other.overlay6}/128`];
    const peer = ['peer', other.publicKey, ...secret, 'endpoint', endpoint, ...allowed];
    run('wg', 'set', link, 'listen-port', '5001', 'private-key', side.keyFile, ...peer);
    host.ip('addr', 'add', `${side.overlay}/24`, 'dev', link);
    host.ip('addr', 'add', `${side.overlay6}/64`, 'dev', link, 'nodad');
    host.ip('link', 'set', link, 'up');
    await until(`port 5001 of ${link}`, () => host.exec('ss', '-Hlun', 'sport', '5001').trim() !== '');
  }

  async startBoth(): Promise<void> {
    await this.start(this.a);
    await this.start(this.b);
  }

  /** Seconds since 1970 of the last handshake as a side tells it. */
  lastHandshake(side: Side): number {
    return Number(run('wg', 'show', side.link, 'latest-handshakes').split('\t')[1]);
  }

  /** Bytes received and sent, as a side tells it. */
  transfer(side: Side): [number, number] {
    const [, received, sent] = run('wg', 'show', side.link, 'transfer').trim().split('\t');
    return [Number(received), Number(sent)];
  }

  async close(): Promise<void> {
    for (const side of [this.a, this.b]) if (side.process !== undefined) await end(side.process);
    this.a.host.remove();
    this.b.host.remove();
    this.#folder.remove();
  }
}
