/**
 * An agent's host side on a kernel with WireGuard and IPIP: here, where the kernel has both; else in a virtual machine started
 * by the program that KILOWIRE_KERNEL_VM names (see kernel-interop.long.test.ts).
 * @module
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { has, isRoot, run } from './host.ts';

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const machine = process.env.KILOWIRE_KERNEL_VM;

const kernelHas = (kind: string): boolean => {
  try {
    run('ip', 'link', 'add', 'kwahprobe', 'type', kind);
    run('ip', 'link', 'del', 'kwahprobe');
    return true;
  } catch {
    return false;
  }
};

const isHere = isRoot && kernelHas('wireguard') && kernelHas('ipip');
const able = isRoot && has('wg') && (isHere || machine !== undefined);
if (!able)
  console.log('skipping the host side: no WireGuard and IPIP here, and KILOWIRE_KERNEL_VM names no machine');

describe.skipIf(!able)("an agent's host side on a stock kernel", { timeout: 2_400_000 }, () => {
  it("joins pods by the kernel's WireGuard and IPIP, page by page, and cleans up", async () => {
    const command = ['bash', file('./kernel-host.sh'), process.execPath, file('./host-pass.ts')];
    const [program = '', ...args] = isHere ? command : [machine as string, '-t', '2300', ...command];
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    await new Promise((resolve) => child.once('close', resolve));
    const lines = output.split(/\r?\n/);
    expect(lines.filter((line) => !/^(?:ok .*|end)$/.test(line) && line !== '')).toEqual([]);
    expect(lines).toContain('end');
  });
});
