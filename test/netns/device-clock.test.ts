/**
 * A device whose clock is set back a day, and on again: its initiations are still later than those before, so its peer
 * takes them, and nothing stands still meanwhile (WireGuard paper §5.1; CVE-2021-46873).
 * @module
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Folder, has, isRoot, kilowireWg, root, until } from './host.ts';
import { WireguardPair } from './wireguard-pair.ts';

const able = isRoot && has('wg') && has('ping');
const DAY = 86_400_000;

describe.skipIf(!able)('the clock of a device', { timeout: 60_000 }, () => {
  it('may go back a day and on again, and every handshake is still taken', async () => {
    const folder = new Folder();
    const shift = folder.write('shift', '0');
    const node = `'${root}/node_modules/.bin/node' --import '${root}/test/netns/shifted-clock.ts'`;
    const program = folder.write('program', `#!/bin/sh\nexec ${node} '${root}/dist/kilowire-wg.js' "$@"\n`);
    chmodSync(program, 0o700);
    const environment = { CLOCK_SHIFT: shift };
    const pair = new WireguardPair({ name: 'kwdac', programs: [program, kilowireWg], environment });
    const { a, b } = pair;
    /** Without sessions, the next packet needs a handshake, which we begin. */
    const beginAnew = async (): Promise<void> => {
      a.host.ip('link', 'set', a.link, 'down');
      await until('the ports to be closed', () => a.host.exec('ss', '-Hlun', 'sport', '5001').trim() === '');
      a.host.ip('link', 'set', a.link, 'up');
      await until('a ping', () => a.host.pings(b.overlay, 1));
    };
    try {
      await pair.startBoth();
      await until('a first ping', () => a.host.pings(b.overlay, 1), 20_000);
      const seen: number[] = [pair.lastHandshake(a)];
      for (const ms of [-DAY, 0, DAY, -DAY]) {
        // In the middle of a session nothing is noticed,
        writeFileSync(shift, String(ms));
        expect(b.host.pings(a.overlay), 'in the session').toBe(true);
        // and the next one is agreed on.
        await beginAnew();
        seen.push(pair.lastHandshake(a));
      }
      const days = seen.map((seconds) => Math.round((seconds - (seen[0] as number)) / 86_400));
      expect(days, 'the clock of the device really moved').toEqual([0, -1, 0, 1, -1]);
    } finally {
      await pair.close();
      folder.remove();
    }
  });
});
