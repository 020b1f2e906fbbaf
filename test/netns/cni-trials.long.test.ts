/**
 * The trials of bench/cni, shorter: SIGKILL at random moments, and the power cut before every change of a file.
 * Their programs say of each fault what was left or given twice; the whole runs are stored under bench/results/.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { has, isRoot, root } from './host.ts';

const tools = ['unshare', 'nsenter', 'ip', 'nft', 'strace', 'mkfs.ext4', 'mount'];
const missing = tools.filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping trials: not on this machine: ${missing.join(', ')}`);

/** Exit status, and what the program said. */
function trials(program: string, ...args: string[]): { status: number | null; said: string } {
  const folder = mkdtempSync(join(tmpdir(), 'kwm-trials-'));
  try {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(root, 'bench/cni', program), ...args, '--out', folder],
      { encoding: 'utf8' },
    );
    return { status, said: stdout + stderr };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe.skipIf(!isRoot || missing.length > 0)('the CNI executable', () => {
  test('leaves nothing behind when it is killed, whatever the runtime does next', () => {
    const { status, said } = trials('kill-trials.ts', '--trials', '120');
    expect(status, said).toBe(0);
    expect(said).toMatch(/leaks: 0,\s+addressesTwice: 0/);
  });

  test('loses no address to a power cut, and leaves nothing behind', () => {
    const { status, said } = trials('power-cut.ts');
    expect(status, said).toBe(0);
    expect(said).toContain('faults: 0');
  });
});
