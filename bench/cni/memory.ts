/**
 * The most memory that processes started during a call held together: a memory cgroup of their own, which this process
 * joins for the time of the call, so that its children are born in it. Without that controller there is no figure.
 * (A child's own ru_maxrss would not do: after posix_spawn it begins with its parent's.)
 * Source: the kernel's admin-guide, cgroup-v1 memory.
 * @module
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { endResidents } from './process.ts';

const controller = '/sys/fs/cgroup/memory';

/** Peak in MiB; NaN where it cannot be told. */
export function peakMemory(call: () => void): number {
  // One that stays counts too: it has to be born inside.
  endResidents();
  if (!existsSync(`${controller}/memory.max_usage_in_bytes`)) {
    call();
    return Number.NaN;
  }
  const home = readFileSync('/proc/self/cgroup', 'utf8').match(/:memory:(.*)$/m)?.[1] ?? '/';
  const group = `${controller}${home}/kwm-bench-${process.pid}`;
  mkdirSync(group);
  const join = (path: string): void => writeFileSync(`${path}/cgroup.procs`, String(process.pid));
  join(group);
  try {
    writeFileSync(`${group}/memory.max_usage_in_bytes`, '0');
    const usage = (name: string): number => Number(readFileSync(`${group}/memory.${name}`, 'utf8'));
    const before = usage('usage_in_bytes');
    call();
    return (usage('max_usage_in_bytes') - before) / 2 ** 20;
  } finally {
    join(`${controller}${home}`);
    endResidents();
    rmdirSync(group);
  }
}
