/**
 * VLANs on a kernel that filters by them: this machine's, where it can; else that of a virtual machine started by the
 * program that KILOWIRE_KERNEL_VM names (`PROGRAM -t SECONDS COMMAND…` runs a command there, on this machine's files).
 * @module
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isRoot, root, run } from './host.ts';

const script = fileURLToPath(new URL('./cni-vlan.sh', import.meta.url));
const executable = join(root, 'dist/kilowire-cni');
const machine = process.env.KILOWIRE_KERNEL_VM;

function kernelFilters(): boolean {
  try {
    run('unshare', '-n', 'ip', 'link', 'add', 'probe', 'type', 'bridge', 'vlan_filtering', '1');
    return true;
  } catch {
    return false;
  }
}

const isHere = isRoot && kernelFilters();
const able = isRoot && existsSync(executable) && (isHere || machine !== undefined);
if (!able)
  console.log(
    'skipping VLANs: the kernel does not filter by them here, and KILOWIRE_KERNEL_VM names no machine',
  );

describe.skipIf(!able)('VLANs of the CNI executable', () => {
  it('part pods of one bridge, lead to the node and through trunks, and go without a trace', async () => {
    const command = ['bash', script, executable];
    const [program = '', ...args] = isHere ? command : [machine as string, '-t', '500', ...command];
    const { stdout } = await promisify(execFile)(program, args, { timeout: 550_000 });
    const lines = stdout.split(/\r?\n/).filter((line) => line !== '');
    expect(lines.filter((line) => !line.startsWith('ok '))).toEqual(['end']);
    expect(lines.length).toBeGreaterThan(25);
  });
});
