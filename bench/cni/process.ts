/**
 * Starts and awaits processes as a container runtime in C would: posix_spawn(3) costs the same from a large process as
 * from a small one, wait4(2) tells what the child and all it waited for have used. Node's own spawn would put more time
 * into each figure than the plugins differ by.
 * Sources: posix_spawn(3), wait4(2), memfd_create(2), setns(2), prctl(2); numbers of x86-64 and arm64, which agree.
 * @module
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from 'node:fs';
import koffi from 'koffi';
import { residents } from '../../src/cni/resident/place.ts';

const libc = koffi.load('libc.so.6');
const posixSpawn = libc.func(
  'int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **envp)',
);
const initActions = libc.func('int posix_spawn_file_actions_init(void *actions)');
const addDup2 = libc.func('int posix_spawn_file_actions_adddup2(void *actions, int fd, int to)');
const destroyActions = libc.func('int posix_spawn_file_actions_destroy(void *actions)');
const initAttributes = libc.func('int posix_spawnattr_init(void *attributes)');
const setFlags = libc.func('int posix_spawnattr_setflags(void *attributes, short flags)');
const wait4 = libc.func('int wait4(int pid, _Out_ int *status, int options, void *usage)');
const memfdCreate = libc.func('int memfd_create(const char *name, unsigned int flags)');
const setns = libc.func('int setns(int fd, int type)');
const prctl = libc.func(
  'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
);

const MFD_CLOEXEC = 1;
const WNOHANG = 1;
const CLONE_NEWNET = 0x4000_0000;
const PR_SET_CHILD_SUBREAPER = 36;
const POSIX_SPAWN_SETPGROUP = 2;
/** More than the libc of any architecture puts into these opaque structures. */
const opaqueSize = 512;

const attributes = Buffer.alloc(opaqueSize);
initAttributes(attributes);
// A group of its own, so that kill(2) can reach a plugin together with what it started.
setFlags(attributes, POSIX_SPAWN_SETPGROUP);

export interface Started {
  readonly pid: number;
  readonly stdin: number;
  readonly stdout: number;
  readonly stderr: number;
}

/** What a finished process and the children it waited for have used. */
export interface Ended {
  readonly pid: number;
  /** Exit status; 128 + N for signal N. */
  readonly code: number;
  readonly cpuSeconds: number;
}

export function start(
  path: string,
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  input: string,
): Started {
  const [stdin, stdout, stderr] = [memory(), memory(), memory()];
  writeSync(stdin, input, 0);
  const actions = Buffer.alloc(opaqueSize);
  initActions(actions);
  [stdin, stdout, stderr].forEach((fd, to) => {
    addDup2(actions, fd, to);
  });
  const pid = [0];
  const envp = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
  const failed = posixSpawn(pid, path, actions, attributes, [...argv, null], [...envp, null]);
  destroyActions(actions);
  if (failed !== 0) throw new Error(`posix_spawn of ${path} failed with errno ${failed}`);
  return { pid: pid[0] ?? 0, stdin, stdout, stderr };
}

/** Waits for one process, or with -1 for any; undefined when there is none. */
export function wait(pid: number): Ended | undefined {
  const status = [0];
  const usage = Buffer.alloc(144);
  const found: number = wait4(pid, status, 0, usage);
  if (found < 0) return undefined;
  const word = status[0] ?? 0;
  const signal = word & 0x7f;
  const seconds = (at: number): number =>
    Number(usage.readBigInt64LE(at)) + Number(usage.readBigInt64LE(at + 8)) / 1e6;
  return {
    pid: found,
    code: signal === 0 ? (word >> 8) & 0xff : 128 + signal,
    cpuSeconds: seconds(0) + seconds(16),
  };
}

/** Waits for whatever earlier calls have left running, so that nobody's next call pays for it; residents stay. */
export function settle(): void {
  for (;;) {
    const stay = residents();
    const leaving = adopted().filter((pid) => !stay.includes(pid));
    if (leaving.length === 0) return;
    // One that ends with its idle time, or becomes a resident, is not waited for but looked at again.
    for (const pid of leaving) reap(pid);
    Atomics.wait(pause, 0, 0, 1);
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

function reap(pid: number): void {
  wait4(pid, [0], WNOHANG, Buffer.alloc(144));
}

/** Not ended, though nobody may have waited for it yet. */
export function isRunning(pid: number): boolean {
  return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z';
}

/** Our children, orphans that came to us among them. */
function adopted(): readonly number[] {
  const text = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

/** Seconds that the residents of this machine have used so far, by process. */
export function residentSeconds(): ReadonlyMap<number, number> {
  return new Map(residents().map((pid) => [pid, secondsOf(pid)]));
}

/** What they have used since then; one that began meanwhile counts whole. */
export function residentSecondsSince(before: ReadonlyMap<number, number>): number {
  let sum = 0;
  for (const [pid, seconds] of residentSeconds()) sum += seconds - (before.get(pid) ?? 0);
  return sum;
}

/** Of all its threads, and of the sweeper, its only child. The first figure of schedstat is nanoseconds on a processor. */
function secondsOf(pid: number): number {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    sum += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
    for (const child of readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' '))
      if (child !== '') sum += secondsOf(Number(child));
  }
  return sum;
}

/** So that the next call finds none. */
export function endResidents(): void {
  for (const pid of residents()) process.kill(pid, 'SIGKILL');
  while (residents().length > 0) Atomics.wait(pause, 0, 0, 1);
  settle();
}

/** What it wrote; the descriptors are closed. */
export function collect({ stdin, stdout, stderr }: Started): { stdout: string; stderr: string } {
  const texts = [stdout, stderr].map((fd) => {
    const buffer = Buffer.alloc(1 << 20);
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, buffer.length, 0));
  });
  for (const fd of [stdin, stdout, stderr]) closeSync(fd);
  return { stdout: texts[0] ?? '', stderr: texts[1] ?? '' };
}

/** Orphans come to us, so that `wait(-1)` knows of every process a plugin left running. */
export function adoptOrphans(): void {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/** This thread, and all it starts from now on, is in the network namespace `path`. */
export function enter(path: string): void {
  const fd = openSync(path, 'r');
  const failed = setns(fd, CLONE_NEWNET);
  closeSync(fd);
  if (failed !== 0) throw new Error(`setns to ${path} failed; is this run as root?`);
}

function memory(): number {
  const fd: number = memfdCreate('kilowire-bench', MFD_CLOEXEC);
  if (fd < 0) throw new Error('memfd_create failed');
  return fd;
}
