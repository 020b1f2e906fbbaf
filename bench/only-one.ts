/**
 * One bench at a time: they would share names of namespaces and interfaces, and the machine.
 * @module
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const FILE = '/run/kilowire-bench.pid';

function isAlive(pid: number): boolean {
  try {
    return /bench\/main\.ts/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  } catch {
    return false;
  }
}

/** False when another one runs; it is not waited for. */
export function claimMachine(): boolean {
  if (existsSync(FILE) && isAlive(Number(readFileSync(FILE, 'utf8')))) return false;
  writeFileSync(FILE, String(process.pid));
  return true;
}

export function releaseMachine(): void {
  rmSync(FILE, { force: true });
}
