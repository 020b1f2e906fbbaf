/**
 * What a result was measured on, so that a figure is never quoted without its machine.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly commit: string;
  readonly loadBefore: number;
  readonly date: string;
}

function cpuName(): string {
  const line = readFileSync('/proc/cpuinfo', 'utf8').match(/^model name\s*:\s*(.*)$/m);
  return line?.[1] ?? cpus()[0]?.model ?? 'unknown';
}

function commit(): string {
  try {
    const revision = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
    const dirty = execFileSync('git', ['status', '--porcelain', '--', 'src'], { encoding: 'utf8' }) !== '';
    return dirty ? `${revision}+` : revision;
  } catch {
    return 'unknown';
  }
}

export const describeMachine = (): Machine => ({
  cpu: cpuName(),
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  commit: commit(),
  loadBefore: loadavg()[0] ?? 0,
  date: new Date().toISOString(),
});
