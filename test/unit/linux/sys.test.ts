/**
 * What every system call has in common, on a backend that answers as told.
 * @module
 */
import { describe, expect, test } from 'vitest';
import { type Argument, type Backend, createSys, SystemError, WOULD_BLOCK } from '../../../src/linux/sys.ts';

const EINTR = 4;
const EAGAIN = 11;

/** Answers each call with the next of `answers`; a negative one is -1 with that errno. */
const scripted = (answers: readonly number[]) => {
  const calls: { name: string; signature: string; args: readonly Argument[] }[] = [];
  const loads: string[] = [];
  let errno = 0;
  const queue = [...answers];
  const backend: Backend = {
    load(name, signature) {
      loads.push(name);
      return (...args) => {
        calls.push({ name, signature, args });
        const answer = queue.shift() ?? 0;
        if (answer < 0) errno = -answer;
        return answer < 0 ? -1 : answer;
      };
    },
    errno: () => errno,
  };
  return { sys: createSys(backend), calls, loads };
};

describe('system calls', () => {
  test('a function is loaded when it is first called, and once', () => {
    const { sys, loads } = scripted([3, 4]);
    expect(loads).toEqual([]);
    sys.socket(2, 1, 0);
    sys.socket(2, 1, 0);
    expect(loads).toEqual(['socket']);
  });

  test('a call interrupted by a signal is made again', () => {
    const { sys, calls } = scripted([-EINTR, -EINTR, 5]);
    expect(sys.socket(2, 1, 0)).toBe(5);
    expect(calls).toHaveLength(3);
  });

  test('a failure names the call, the number, its name, and what to do', () => {
    const { sys } = scripted([-1]);
    let error: unknown;
    try {
      sys.setns(9, 0x40000000);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(SystemError);
    expect(error).toMatchObject({ code: 'ERR_SYSTEM_CALL', errno: 1, errnoName: 'EPERM', call: 'setns' });
    expect(String(error)).toContain('setns failed: operation not permitted (EPERM). Run it as root');
  });

  test('an error number without a name is still told', () => {
    const { sys } = scripted([-250]);
    expect(() => sys.unshare(0)).toThrow('error number 250');
  });

  test('sendto, recvfrom and flock answer WOULD_BLOCK instead of throwing', () => {
    const { sys } = scripted([-EAGAIN, -EAGAIN, -EAGAIN]);
    expect(sys.sendto(3, new Uint8Array(1), 0, null)).toBe(WOULD_BLOCK);
    expect(sys.recvfrom(3, new Uint8Array(1), 0, null)).toBe(WOULD_BLOCK);
    expect(sys.flock(3, 6)).toBe(WOULD_BLOCK);
  });

  test('a number as socket option is passed as four bytes in host order', () => {
    const { sys, calls } = scripted([0]);
    sys.setsockopt(3, 270, 11, 0x01020304);
    expect(calls[0]?.args).toEqual([3, 270, 11, Uint8Array.of(4, 3, 2, 1), 4]);
  });

  test('texts are passed with their terminating NUL', () => {
    const { sys, calls } = scripted([0]);
    sys.mount('/a', '/b', 'none', 0x1000);
    expect(
      calls[0]?.args.map((arg) => (arg instanceof Uint8Array ? Buffer.from(arg).toString() : arg)),
    ).toEqual(['/a\0', '/b\0', 'none\0', 0x1000, null]);
  });
});
