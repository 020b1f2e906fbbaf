/**
 * Messages with descriptors over a unix socket, and what the kernel tells of the other side.
 */

import { spawn } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as libc from '../../../src/linux/libc.ts';
import { ProcessHandle } from '../../../src/linux/process-handle.ts';
import { SystemError } from '../../../src/linux/sys.ts';
import {
  acceptConnection,
  connectSeqpacket,
  listenSeqpacket,
  peerCredentials,
  receiveMessage,
  sendMessage,
  unixAddress,
} from '../../../src/linux/unix-socket.ts';

describe('a socket of whole messages', () => {
  let folder: string;
  let listener: number;
  let here: number;
  let there: number;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'kilowire-unix-'));
    const address = unixAddress(join(folder, 's')) as Buffer;
    listener = listenSeqpacket(address);
    expect(acceptConnection(listener)).toBe(-1);
    here = connectSeqpacket(address);
    there = acceptConnection(listener);
  });
  afterAll(() => {
    for (const fd of [listener, here]) libc.close(fd);
    rmSync(folder, { recursive: true });
  });

  it('is for its owner alone', () => {
    expect(statSync(join(folder, 's')).mode & 0o777).toBe(0o600);
  });

  it('tells who is at the other end', () => {
    const self = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
    expect(peerCredentials(there)).toEqual(self);
    expect(peerCredentials(here)).toEqual(self);
  });

  it('keeps messages apart, in their order, and says when there is none', () => {
    const buffer = new Uint8Array(100);
    expect(receiveMessage(there, buffer)).toBeUndefined();
    expect(sendMessage(here, Uint8Array.of(1, 2, 3))).toBe(true);
    expect(sendMessage(here, Uint8Array.of(4))).toBe(true);
    expect(receiveMessage(there, buffer)).toEqual({ length: 3, descriptors: [], truncated: false });
    expect([...buffer.subarray(0, 3)]).toEqual([1, 2, 3]);
    expect(receiveMessage(there, buffer)?.length).toBe(1);
    sendMessage(here, new Uint8Array(101));
    expect(receiveMessage(there, buffer)?.truncated).toBe(true);
  });

  it('carries open files, which are closed in children', () => {
    const path = join(folder, 'file');
    writeFileSync(path, 'carried');
    const files = [openSync(path, 'r'), openSync('/dev/null', 'r')];
    sendMessage(here, Uint8Array.of(9), files);
    const received = receiveMessage(there, new Uint8Array(10));
    expect(received?.descriptors).toHaveLength(2);
    const [file = -1, nothing = -1] = received?.descriptors ?? [];
    expect(files).not.toContain(file);
    expect(fstatSync(file).ino).toBe(statSync(path).ino);
    const F_GETFD = 1;
    expect(libc.fcntl(file, F_GETFD, 0)).toBe(1);
    const text = Buffer.alloc(7);
    readSync(file, text);
    expect(text.toString()).toBe('carried');
    for (const fd of [...files, file, nothing]) closeSync(fd);
  });

  it('says when it is full, and when nobody is there any more', () => {
    const large = new Uint8Array(60_000);
    let sent = 0;
    while (sendMessage(here, large)) sent += 1;
    expect(sent).toBeGreaterThan(1);
    libc.close(there);
    expect(() => sendMessage(here, large)).toThrow(SystemError);
    expect(() => connectSeqpacket(unixAddress(join(folder, 'none')) as Buffer)).toThrow(/ENOENT/);
  });
});

describe('a handle of a process', () => {
  it('kills it, and knows when it is dead', async () => {
    const child = spawn('sleep', ['60']);
    const handle = ProcessHandle.open(child.pid as number) as ProcessHandle;
    expect(handle.hasEnded).toBe(false);
    handle.kill();
    expect(await new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)))).toBe(
      'SIGKILL',
    );
    expect(handle.hasEnded).toBe(true);
    handle.kill();
    handle.close();
    expect(ProcessHandle.open(child.pid as number)).toBeUndefined();
  });
});
