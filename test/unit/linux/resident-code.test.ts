/**
 * Code that is let go of: only what can be read from the file again, and it can.
 * @module
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { cleanMappings, releaseCode } from '../../../src/linux/resident-code.ts';

const mapping = (head: string, dirty: number): string =>
  `${head}\nSize: 100 kB\nRss: 100 kB\nPrivate_Clean: 8 kB\nPrivate_Dirty:         ${dirty} kB\nVmFlags: rd ex mr\n`;

describe('code that is let go of', () => {
  it('is that of the file, read only, and as the file has it', () => {
    const smaps = [
      mapping('00400000-00500000 r--p 00000000 08:01 42                         /usr/bin/node', 0),
      mapping('00500000-00900000 r-xp 00100000 08:01 42                         /usr/bin/node', 0),
      // Relocated by the linker, and then made read only.
      mapping('00900000-00910000 r--p 00500000 08:01 42                         /usr/bin/node', 64),
      mapping('00910000-00920000 rw-p 00510000 08:01 42                         /usr/bin/node', 0),
      mapping('7f0000000000-7f0000100000 r-xp 00000000 08:01 43                 /usr/lib/libc.so.6', 0),
      mapping('7f0000200000-7f0000300000 rw-p 00000000 00:00 0 ', 12),
    ].join('');
    expect(cleanMappings(smaps, '/usr/bin/node')).toEqual([
      [0x40_0000, 0x50_0000],
      [0x50_0000, 0x90_0000],
    ]);
  });

  it('comes back when it is used again, and till then is not resident', () => {
    const fileKiB = (): number =>
      Number(/RssFile:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]);
    const before = fileKiB();
    expect(releaseCode()).toBeGreaterThan(0);
    expect(fileKiB()).toBeLessThan(before);
    // All of it still works.
    expect(JSON.parse(JSON.stringify({ works: [1, 2, 3].map((n) => n * 2) }))).toEqual({ works: [2, 4, 6] });
    expect(new Intl.DateTimeFormat('en', { timeZone: 'UTC' }).format(0)).toBe('1/1/1970');
  });
});
