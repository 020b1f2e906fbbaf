/**
 * Two devices that know each other's keys and addresses, wherever a test puts their sockets and their interfaces, and
 * nothing of each other's endpoints:
 *
 *     a  10.9.0.1, fd09::1, port 10000       b  10.9.0.2, fd09::2, port 20000
 * @module
 */
import { execFileSync } from 'node:child_process';
import { Folder, type Host, run, until } from './host.ts';
import { OneDevice, publicKeyOf } from './one-device.ts';

export class Side {
  readonly device: OneDevice;
  readonly key: string;
  readonly publicKey: string;
  readonly overlay: string;
  readonly overlay6: string;
  readonly port: number;
  /** Where its interface is. */
  readonly host: Host;

  constructor(device: OneDevice, host: Host, key: string, number: 1 | 2) {
    this.device = device;
    this.host = host;
    this.key = key;
    this.publicKey = publicKeyOf(key);
    this.overlay = `10.9.0.${number}`;
    this.overlay6 = `fd09::${number}`;
    this.port = number * 10_000;
  }

  get link(): string {
    return this.device.link;
  }

  set(...args: string[]): void {
    run('wg', 'set', this.link, ...args);
  }

  /** The second column of `wg show LINK what` for a peer. */
  show(what: string, peer: Side): string {
    const line = run('wg', 'show', this.link, what)
      .split('\n')
      .find((text) => text.startsWith(peer.publicKey));
    return line?.split('\t').slice(1).join(' ') ?? '';
  }

  bytesSent(peer: Side): number {
    return Number(this.show('transfer', peer).split(' ')[1]);
  }

  bytesReceived(peer: Side): number {
    return Number(this.show('transfer', peer).split(' ')[0]);
  }

  /** One ping that has to be answered within a second. */
  reaches(peer: Side, family: 4 | 6 = 4): boolean {
    try {
      this.host.exec('ping', '-q', '-W', '1', '-c', '1', family === 4 ? peer.overlay : peer.overlay6);
      return true;
    } catch {
      return false;
    }
  }

  /** Sets the interface up and waits until its sockets are open in the namespace they belong to. */
  async up(sockets: Host): Promise<void> {
    this.host.ip('link', 'set', this.link, 'up');
    await until(
      `port ${this.port}`,
      () => sockets.exec('ss', '-Hlun', 'sport', String(this.port)).trim() !== '',
    );
  }
}

export interface TwoDevicesOptions {
  /** Prefix of the links, at most 10 letters. */
  readonly name: string;
  /** Where the programs are started, and so where their sockets are. */
  readonly sockets: readonly [Host, Host];
  /** Where the interfaces are moved; the same unless said otherwise. */
  readonly links?: readonly [Host, Host];
  readonly psk?: boolean;
  /** More words of `wg set … peer …` on both sides. */
  readonly peerWords?: readonly string[];
}

export class TwoDevices {
  readonly a: Side;
  readonly b: Side;
  readonly folder: Folder;

  private constructor(a: Side, b: Side, folder: Folder) {
    this.a = a;
    this.b = b;
    this.folder = folder;
  }

  static async start(options: TwoDevicesOptions): Promise<TwoDevices> {
    const { name, sockets, links = sockets, peerWords = [] } = options;
    const folder = new Folder();
    const [a, b] = (await Promise.all(
      ([1, 2] as const).map(async (number) => {
        const at = number - 1;
        const device = await OneDevice.start(sockets[at] as Host, `${name}${number}`);
        const host = links[at] as Host;
        if (host !== sockets[at]) sockets[at]?.ip('link', 'set', device.link, 'netns', host.name);
        return new Side(device, host, run('wg', 'genkey').trim(), number);
      }),
    )) as [Side, Side];
    const secret = options.psk === true ? ['preshared-key', folder.write('psk', run('wg', 'genpsk'))] : [];
    for (const [side, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      side.set(
        ...['private-key', folder.write(side.link, side.key), 'listen-port', String(side.port)],
        ...[
          'peer',
          peer.publicKey,
          ...secret,
          'allowed-ips',
          `${peer.overlay}/32,${peer.overlay6}/128`,
          ...peerWords,
        ],
      );
      side.host.ip('addr', 'add', `${side.overlay}/24`, 'dev', side.link);
      side.host.ip('addr', 'add', `${side.overlay6}/64`, 'dev', side.link, 'nodad');
    }
    await Promise.all([a.up(sockets[0]), b.up(sockets[1])]);
    return new TwoDevices(a, b, folder);
  }

  async close(): Promise<void> {
    await Promise.all([this.a.device.close(), this.b.device.close()]);
    this.folder.remove();
  }
}

/** Runs a program in a namespace and gives it something to read. */
export const execWith = (host: Host, input: string, ...args: string[]): string =>
  execFileSync('ip', ['netns', 'exec', host.name, ...args], { encoding: 'utf8', input, timeout: 20_000 });
