/**
 * Our device against Debian's wireguard-go, either side first, with and without a preshared key, past a rekey at the
 * real 120 seconds.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { end, has, isRoot, kilowireWg } from './host.ts';
import { WireguardPair } from './wireguard-pair.ts';

const able = isRoot && has('wg') && has('wireguard-go') && has('ping');

describe.skipIf(!able)('our device and wireguard-go', { timeout: 200_000 }, () => {
  for (const [first, programs] of [
    ['ours first', [kilowireWg, 'wireguard-go']],
    ['wireguard-go first', ['wireguard-go', kilowireWg]],
  ] as const) {
    for (const psk of [false, true]) {
      for (const family of [4, 6] as const) {
        const name = `kwi${first[0]}${psk ? 'p' : 'n'}${family}`;
        const what = `${first}, ${psk ? 'with' : 'without'} a preshared key, IPv${family} outside`;
        it.concurrent(`carry pings both ways past a rekey: ${what}`, async () => {
          const pair = new WireguardPair({ name, programs, psk, family });
          try {
            await pair.startBoth();
            expect(pair.a.host.pings(pair.b.overlay), 'IPv4 from A').toBe(true);
            expect(pair.b.host.pings(pair.a.overlay6), 'IPv6 from B').toBe(true);
            const before = pair.lastHandshake(pair.a);
            expect(before).toBeGreaterThan(0);
            // Traffic from the side that initiated: it renews the key after 120 s of it.
            const pings = pair.a.host.spawn(['ping', '-q', '-i', '0.5', '-c', '254', pair.b.overlay]);
            let report = '';
            pings.stdout?.on('data', (chunk: Buffer) => {
              report += chunk.toString();
            });
            await new Promise((resolve) => pings.once('close', resolve));
            expect(report).toMatch(/ 0% packet loss/);
            expect(pair.lastHandshake(pair.a)).toBeGreaterThanOrEqual(before + 115);
            expect(pair.b.host.pings(pair.a.overlay), 'IPv4 from B after the rekey').toBe(true);
          } finally {
            await pair.close();
          }
        });
      }
    }
  }

  it.concurrent('go on within seconds after either side was killed and started again', async () => {
    const pair = new WireguardPair({ name: 'kwir', programs: [kilowireWg, 'wireguard-go'] });
    try {
      await pair.startBoth();
      expect(pair.a.host.pings(pair.b.overlay)).toBe(true);
      for (const side of [pair.a, pair.b]) {
        if (side.process !== undefined) await end(side.process, 'SIGKILL');
        await pair.start(side);
        const other = side === pair.a ? pair.b : pair.a;
        // The one that lost its keys starts a handshake with its first packet.
        expect(side.host.pings(other.overlay), `from ${side.program}`).toBe(true);
        expect(other.host.pings(side.overlay), `to ${side.program}`).toBe(true);
      }
    } finally {
      await pair.close();
    }
  });

  it.concurrent('count the bytes of a fresh session as the kernel does', async () => {
    const pair = new WireguardPair({ name: 'kwic', programs: [kilowireWg, kilowireWg] });
    try {
      await pair.startBoth();
      pair.a.host.exec('ping', '-q', '-c', '10', '-i', '0.05', '-w', '5', pair.b.overlay);
      // The kernel selftest's numbers: a response and ten messages of 128 bytes come in; an initiation, ten messages
      // and perhaps one keepalive go out. The other side has the mirror image.
      const [received, sent] = pair.transfer(pair.a);
      expect(received).toBe(92 + 10 * 128);
      expect([148 + 10 * 128, 148 + 10 * 128 + 32]).toContain(sent);
      expect(pair.transfer(pair.b)).toEqual([sent, received]);
    } finally {
      await pair.close();
    }
  });
});
