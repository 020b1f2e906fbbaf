/**
 * The same program on both sides, and a tunnel between them.
 * @module
 */
import { type Daemon, makeKeys, type Subject, startDaemon, wg } from './daemon.ts';
import { type Ground, grounds, inNamespace, ip, setPathMtu } from './namespaces.ts';

export interface TunnelOptions {
  /** Of the outer packets. */
  readonly family?: 4 | 6;
  /** The largest outer packet the way takes. */
  readonly pathMtu?: number;
  /** Ours with every cipher done by @noble, against the other as it is. */
  readonly onNoble?: boolean;
}

export interface Tunnel {
  readonly ground: Ground;
  /** A sends, B receives. */
  readonly pids: readonly [number, number];
  close(): Promise<void>;
}

const MTU = '1420';

/** Starts the subject on both sides and joins them; resolves when the first ping has come back. */
export async function openTunnel(
  subject: Subject,
  options: TunnelOptions = {},
  ground: Ground = grounds[0],
): Promise<Tunnel> {
  const { family = 4, pathMtu = 1500 } = options;
  const { a, b } = ground;
  const daemons: Daemon[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
  };
  setPathMtu(ground, pathMtu);
  try {
    const keys = [makeKeys(), makeKeys()];
    for (const side of [a, b]) {
      daemons.push(await startDaemon(subject, side));
      const other = side === a ? b : a;
      const [own, theirs] = side === a ? keys : [...keys].reverse();
      const endpoint = family === 4 ? `${other.underlay}:5001` : `[${other.underlay6}]:5001`;
      const allowed = ['allowed-ips', `${other.overlay}/32,${other.overlay6}/128`];
      wg(side, 'set', (file) => [
        ...['listen-port', '5001', 'private-key', file(own?.privateKey ?? '')],
        ...['peer', theirs?.publicKey ?? '', 'endpoint', endpoint, ...allowed],
      ]);
      ip('-n', side.namespace, 'addr', 'add', `${side.overlay}/24`, 'dev', side.link);
      ip('-n', side.namespace, 'addr', 'add', `${side.overlay6}/64`, 'dev', side.link, 'nodad');
      ip('-n', side.namespace, 'link', 'set', side.link, 'mtu', MTU, 'up');
    }
    inNamespace(a.namespace, ['ping', '-c', '5', '-i', '0.2', '-w', '8', b.overlay], 10_000);
    return { ground, pids: [daemons[0]?.pid ?? 0, daemons[1]?.pid ?? 0], close };
  } catch (error) {
    await close();
    throw error;
  }
}
