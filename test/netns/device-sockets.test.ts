/**
 * UDP sockets that somebody else closes under a running device, as a network manager does when the network changes
 * (sock_diag(7), SOCK_DESTROY; `ss -K`). Linux takes away the port of such a socket if it had picked it itself.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { type Host, has, isRoot, kilowireWg, run, until } from './host.ts';
import { type Side, WireguardPair } from './wireguard-pair.ts';

const able = isRoot && ['wg', 'ping', 'ss'].every(has);

const portOf = (side: Side): string => run('wg', 'show', side.link, 'listen-port').trim();

/** Lines of `ss`, one a socket on the port. */
const socketsOn = (host: Host, port: string): string[] =>
  host.exec('ss', '-Hulna', `sport = :${port}`).split('\n').filter(Boolean);

/** False where the kernel was built without CONFIG_INET_DIAG_DESTROY: then nothing happens. */
function closeSockets(host: Host, port: string): boolean {
  const told = host.exec('sh', '-c', `ss -K -ua 'sport = :${port}' 2>&1`);
  return !/not supported|SOCK_DESTROY/i.test(told);
}

async function onPickedPort(name: string, whileClosed: (pair: WireguardPair, port: string) => Promise<void>) {
  const pair = new WireguardPair({ name, programs: [kilowireWg, kilowireWg] });
  try {
    await pair.startBoth();
    run('wg', 'set', pair.a.link, 'listen-port', '0');
    await until('a first ping', () => pair.a.host.pings(pair.b.overlay, 1), 20_000);
    await whileClosed(pair, portOf(pair.a));
  } finally {
    await pair.close();
  }
}

describe.skipIf(!able)('sockets closed from outside', { timeout: 60_000 }, () => {
  it.concurrent('are opened again on their port, in both families', (context) =>
    onPickedPort('kwdas', async ({ a, b }, port) => {
      expect(socketsOn(a.host, port)).toHaveLength(2);
      if (!closeSockets(a.host, port)) context.skip();
      // Only from the port it had is this answered: nobody tells the peer of another.
      await until('the peer to be heard', () => b.host.pings(a.overlay, 1));
      expect(portOf(a)).toBe(port);
      expect(socketsOn(a.host, port)).toHaveLength(2);
    }));

  it.concurrent('are opened again when it is a send that finds them closed', (context) =>
    onPickedPort('kwdal', async ({ a, b }, port) => {
      const load = a.host.spawn(['ping', '-q', '-f', '-w', '20', b.overlay]);
      const ended = new Promise((resolve) => load.once('close', resolve));
      for (let times = 0; times < 5; times += 1) {
        if (!closeSockets(a.host, port)) context.skip();
        await until('both sockets', () => socketsOn(a.host, port).length === 2);
      }
      load.kill('SIGINT');
      await ended;
      await until('the peer to be heard', () => b.host.pings(a.overlay, 1));
      expect(portOf(a)).toBe(port);
    }));
});
