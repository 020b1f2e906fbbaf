/**
 * Starts one WireGuard device per node and for the laptop, each in its own network namespace.
 * @module
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { enterNamespace, namespacePath } from '../linux/namespaces.ts';
import { deviceDirectory, deviceSocket, waitForDevice } from './device-client.ts';
import { LabError } from './lab-error.ts';
import { deviceProgram } from './paths.ts';
import { INTERFACE } from './plan.ts';
import { identify, isAlive, PROCESS_MARK } from './processes.ts';
import type { LabState, StateFile } from './state.ts';

const START_PATIENCE_MS = 30_000;

export interface DeviceHome {
  readonly name: string;
  readonly netns: string;
}

const logOf = (directory: string): string => join(directory, 'device.log');

const lastLine = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').at(-1) ?? '';
  } catch {
    return '';
  }
};

/** Starts it and writes it into the record; it is not ready yet. */
export function startDevice(file: StateFile, state: LabState, { name, netns }: DeviceHome): void {
  const directory = deviceDirectory(file.directory, name);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const program = deviceProgram();
  const log = openSync(logOf(directory), 'a', 0o600);
  try {
    const child = enterNamespace(namespacePath(netns), () =>
      spawn(program, ['-f', INTERFACE], {
        detached: true, // a Ctrl-C in the terminal is for us, not for it
        stdio: ['ignore', log, log],
        cwd: '/',
        env: { ...process.env, KILOWIRE_UAPI_DIR: directory, [PROCESS_MARK]: name },
      }),
    );
    child.on('error', () => {}); // told by waitForDevice
    child.unref();
    const identity = child.pid === undefined ? null : identify(child.pid);
    if (identity === null)
      throw new LabError('ERR_LAB_DEVICE', `The device program ${program} cannot be started.`);
    state.processes.push({ role: 'device', of: name, ...identity });
    file.save(state);
  } finally {
    closeSync(log);
  }
}

export async function deviceReady(
  file: StateFile,
  state: LabState,
  name: string,
  signal?: AbortSignal,
): Promise<void> {
  const started = state.processes.find((each) => each.of === name);
  const running = (): boolean => started !== undefined && isAlive(started);
  try {
    await waitForDevice(deviceSocket(file.directory, name), running, START_PATIENCE_MS, signal);
  } catch (cause) {
    if (!(cause instanceof LabError) || cause.code === 'ERR_LAB_INTERRUPTED') throw cause;
    const said = lastLine(logOf(deviceDirectory(file.directory, name)));
    throw new LabError('ERR_LAB_DEVICE', `${name}: ${cause.message}${said && ` It said: ${said}`}`, {
      cause,
    });
  }
}
