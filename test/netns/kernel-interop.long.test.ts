/**
 * Our device against the kernel's WireGuard: here, where the kernel has it; else in a virtual machine started by the
 * program that KILOWIRE_KERNEL_VM names (`PROGRAM -t SECONDS COMMAND…` runs a command there, on this machine's files).
 * Emulated, JavaScript is tens of times slower there, so nothing in it is about speed.
 * @module
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { has, isRoot, kilowireWg, run } from './host.ts';

const script = fileURLToPath(new URL('./kernel-pair.sh', import.meta.url));
const machine = process.env.KILOWIRE_KERNEL_VM;

function kernelHasWireguard(): boolean {
  try {
    run('ip', 'link', 'add', 'kwjprobe', 'type', 'wireguard');
    run('ip', 'link', 'del', 'kwjprobe');
    return true;
  } catch {
    return false;
  }
}

const isHere = isRoot && kernelHasWireguard();
const able = isRoot && has('wg') && has('ping') && (isHere || machine !== undefined);
if (!able)
  console.log('skipping the kernel: it has no WireGuard here, and KILOWIRE_KERNEL_VM names no machine');

const pairs = ['4 plain', '4 psk', '6 plain', '6 psk'];

describe.skipIf(!able)('our device and the kernel', { timeout: 1_500_000 }, () => {
  it('carry packets both ways, past rekeys, silence, restarts and a move', async () => {
    // All pairs in one machine, side by side; each line says whose it is.
    const each = pairs.map((pair) => `bash ${script} ${kilowireWg} ${pair} 2>&1 | sed -u 's/^/${pair}: /' &`);
    const command = ['bash', '-c', `${each.join('\n')}\nwait`];
    const [program = '', ...args] = isHere ? command : [machine as string, '-t', '1400', ...command];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    await new Promise((resolve) => child.once('close', resolve));
    const lines = output.split(/\r?\n/);
    expect(lines.filter((line) => !/^[46] \w+: (?:ok |end$)/.test(line) && line !== '')).toEqual([]);
    expect(lines.filter((line) => line.endsWith(': end'))).toHaveLength(pairs.length);
  });
});
