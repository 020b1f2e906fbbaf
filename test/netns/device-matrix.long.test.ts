/**
 * Our device against every other WireGuard in userspace that this machine has or can build: Debian's wireguard-go, the
 * newest one, and boringtun, either side first, IPv4 and IPv6 outside, with and without a preshared key: at once, past a
 * rekey under traffic, after three silent minutes, and after either side was killed. All pairs run side by side.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { end, has, isRoot, kilowireWg, until } from './host.ts';
import { boringtun, newestWireguardGo } from './toolchains.ts';
import { WireguardPair } from './wireguard-pair.ts';

const able = isRoot && has('wg') && has('ping');
const others = able
  ? [
      {
        name: "Debian's wireguard-go",
        letter: 'd',
        program: has('wireguard-go') ? 'wireguard-go' : undefined,
      },
      { name: 'the newest wireguard-go', letter: 'n', program: await newestWireguardGo() },
      { name: 'boringtun', letter: 'b', program: await boringtun() },
      { name: 'itself', letter: 's', program: kilowireWg },
    ]
  : [];
for (const { name, program } of others) {
  if (program === undefined) console.log(`not in the matrix, for it is not on this machine: ${name}`);
}
/** After a handshake at second 0 the initiator renews at 120, and at 180 the key is dead. */
const PAST_REKEY = 127;
const PAST_REJECT = 185;

const pairs = others.flatMap(({ name, letter, program }) =>
  program === undefined
    ? []
    : ([4, 6] as const).flatMap((family) =>
        [false, true].map((psk) => ({
          title: `${name}, IPv${family} outside, ${psk ? 'with' : 'without'} a preshared key`,
          name: `kwj${letter}${family}${psk ? 'p' : 'n'}`,
          programs: [kilowireWg, program] as const,
          // boringtun gives up its rights, and with them the interface, unless it is told not to.
          environment: { WG_SUDO: 'true' },
          psk,
          family,
        })),
      ),
);

describe.skipIf(!able)('our device and', { timeout: 900_000 }, () => {
  for (const { title, ...options } of pairs)
    it.concurrent(title, async () => {
      const pair = new WireguardPair(options);
      const { a, b } = pair;
      // Thirty-two devices on two cores: a ping may be late for nothing but that.
      const reaches = (from: typeof a, address: string, when: string) =>
        until(`a ping ${when}, ${title}`, () => from.host.pings(address), 20_000);
      const both = async (when: string) => {
        await reaches(a, b.overlay, `${when}, IPv4 from ours`);
        await reaches(b, a.overlay6, `${when}, IPv6 to ours`);
      };
      const trafficFrom = async (side: typeof a, other: typeof b) => {
        // Ours tells it: boringtun gives an age where a time belongs.
        const before = pair.lastHandshake(a);
        const count = String(PAST_REKEY * 2);
        const pings = side.host.spawn(['ping', '-q', '-i', '0.5', '-c', count, other.overlay]);
        let report = '';
        pings.stdout?.on('data', (chunk: Buffer) => {
          report += chunk.toString();
        });
        await new Promise((resolve) => pings.once('close', resolve));
        expect(report, `past a rekey, ${title}`).toMatch(/ 0% packet loss/);
        expect(pair.lastHandshake(a)).toBeGreaterThanOrEqual(before + 115);
      };
      try {
        await pair.startBoth();
        await both('at once');
        await trafficFrom(a, b);
        await both('after the rekey');
        await sleep(PAST_REJECT * 1000);
        // The other side wakes it up, and so initiates from here on.
        await reaches(b, a.overlay, 'after silence');
        await both('after silence');
        await trafficFrom(b, a);
        for (const side of [a, b]) {
          if (side.process !== undefined) await end(side.process, 'SIGKILL');
          await pair.start(side);
          const other = side === a ? b : a;
          // The one that lost its keys starts a handshake with its first packet.
          await reaches(side, other.overlay, `from ${side.program} after its restart`);
          await both(`after a restart of ${side.program}`);
        }
      } finally {
        await pair.close();
      }
    });
});
