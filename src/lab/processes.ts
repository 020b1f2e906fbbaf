/**
 * Processes of the lab, known by pid and start time so that a number the kernel gave to somebody else is never signalled.
 * Source: proc(5), /proc/PID/stat fields 3 (state) and 22 (starttime), /proc/PID/environ.
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** Set in the environment of every process the lab starts: finds those a killed run had no time to write down. */
export const PROCESS_MARK = 'KILOWIRE_LAB_PROCESS';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot at which it started. */
  readonly startTime: number;
}

const TERM_PATIENCE_MS = 2000;
const KILL_PATIENCE_MS = 2000;
const POLL_MS = 10;

const readStat = (pid: number): { state: string; startTime: number } | null => {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null; // no such process
  }
  // The command name is in parentheses and may itself contain spaces and parentheses: fields are counted from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', startTime: Number(fields[19]) };
};

/** The identity of a running process; null when there is none (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | null {
  const stat = readStat(pid);
  return stat === null || stat.state === 'Z' || stat.state === 'X'
    ? null
    : { pid, startTime: stat.startTime };
}

export const isAlive = ({ pid, startTime }: ProcessIdentity): boolean =>
  identify(pid)?.startTime === startTime;

const signal = (process_: ProcessIdentity, name: NodeJS.Signals): void => {
  if (!isAlive(process_)) return;
  try {
    process.kill(process_.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
};

const waitUntilGone = async (
  processes: readonly ProcessIdentity[],
  patienceMs: number,
): Promise<ProcessIdentity[]> => {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const left = processes.filter(isAlive);
    if (left.length === 0 || performance.now() > deadline) return left;
    await sleep(POLL_MS);
  }
};

/** Ends them: SIGTERM, and SIGKILL for those that do not listen. Answers those that are still there. */
export async function endProcesses(processes: readonly ProcessIdentity[]): Promise<ProcessIdentity[]> {
  for (const each of processes) signal(each, 'SIGTERM');
  const stubborn = await waitUntilGone(processes, TERM_PATIENCE_MS);
  for (const each of stubborn) signal(each, 'SIGKILL');
  return waitUntilGone(stubborn, KILL_PATIENCE_MS);
}

/** Every running process that carries the lab's mark in its environment. */
export function findMarkedProcesses(): ProcessIdentity[] {
  const found: ProcessIdentity[] = [];
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    let environment: string;
    try {
      environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
    } catch {
      continue; // ended meanwhile, or not ours to read
    }
    if (!environment.startsWith(`${PROCESS_MARK}=`) && !environment.includes(`\0${PROCESS_MARK}=`)) continue;
    const identity = identify(pid);
    if (identity !== null) found.push(identity);
  }
  return found;
}
