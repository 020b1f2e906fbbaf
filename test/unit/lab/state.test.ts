/**
 * The record of a lab, and the processes it names.
 * @module
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  endProcesses,
  findMarkedProcesses,
  identify,
  isAlive,
  PROCESS_MARK,
} from '../../../src/lab/processes.ts';
import { parseState, StateFile } from '../../../src/lab/state.ts';

const options = { nodesPerCloud: 2, granularity: 'location' } as const;
let directory: string;
let file: StateFile;

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'kw-state-')), 'run');
  file = new StateFile(directory);
});
afterEach(() => rmSync(join(directory, '..'), { recursive: true, force: true }));

const sleeper = (environment: NodeJS.ProcessEnv = {}) =>
  spawn(
    process.execPath,
    ['-e', 'process.on("SIGTERM", () => {}); console.log("up"); setInterval(() => {}, 1000)'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, ...environment },
    },
  );

describe('the record', () => {
  it('is not there before a lab and not after', () => {
    expect(file.find()).toEqual({ kind: 'none' });
    file.claim(options);
    file.remove();
    expect(file.find()).toEqual({ kind: 'none' });
  });

  it('is for root only', () => {
    file.claim(options);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, 'state.json')).mode & 0o777).toBe(0o600);
  });

  it('goes to one of two who want it', () => {
    file.claim(options);
    expect(() => new StateFile(directory).claim(options)).toThrow(
      expect.objectContaining({ code: 'ERR_LAB_BUSY' }),
    );
  });

  it('belongs to its maker while that lives', () => {
    file.claim(options);
    expect(file.find()).toMatchObject({ kind: 'owned', owner: { pid: process.pid }, state: { options } });
  });

  it('stands on its own once its maker has let go of it', () => {
    const state = file.claim(options);
    state.phase = 'up';
    state.owner = null;
    file.save(state);
    expect(file.find()).toEqual({ kind: 'up', state });
  });

  it('is abandoned when its maker is gone, or another process has got that number', () => {
    const state = file.claim(options);
    state.owner = { pid: process.pid, startTime: 1 };
    file.save(state);
    expect(file.find()).toMatchObject({ kind: 'abandoned', state: { options } });
  });

  it('is abandoned when it cannot be read', () => {
    file.claim(options);
    writeFileSync(join(directory, 'state.json'), '{"version":1');
    expect(file.find()).toEqual({ kind: 'abandoned', state: null });
  });

  it('is no record when it is any other text, and reading never throws', () => {
    const state = file.claim(options);
    expect(parseState(JSON.stringify(state))).toEqual(state);
    expect(parseState(JSON.stringify({ ...state, processes: [{ pid: 1, startTime: 0 }] }))).toBeNull();
    fc.assert(fc.property(fc.json(), (text) => parseState(text) === null));
    fc.assert(fc.property(fc.string(), (text) => parseState(text) === null));
  });
});

describe('processes', () => {
  it('are known by their start time too', () => {
    const own = identify(process.pid);
    expect(own).not.toBeNull();
    expect(isAlive({ pid: process.pid, startTime: own?.startTime ?? 0 })).toBe(true);
    expect(isAlive({ pid: process.pid, startTime: (own?.startTime ?? 0) + 1 })).toBe(false);
  });

  it('are found by their mark, and ended even when they ignore SIGTERM', async () => {
    const child = sleeper({ [PROCESS_MARK]: 'test' });
    await once(child.stdout, 'data');
    const found = findMarkedProcesses().filter(({ pid }) => pid === child.pid);
    expect(found).toHaveLength(1);
    const ended = once(child, 'exit');
    expect(await endProcesses(found)).toEqual([]);
    expect((await ended)[1]).toBe('SIGKILL');
  });

  it('of the same number but another start are left alone', async () => {
    const child = sleeper();
    await once(child.stdout, 'data');
    expect(await endProcesses([{ pid: child.pid ?? 0, startTime: 1 }])).toEqual([]);
    expect(identify(child.pid ?? 0)).not.toBeNull();
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
});
