/**
 * A process that cannot be mistaken for another one that got its number later (pidfd), to kill it or to know it dead.
 * Source: pidfd_open(2), pidfd_send_signal(2): Linux 5.3. The numbers are the same on x86-64 and arm64.
 * @module
 */
import * as libc from './libc.ts';

const PIDFD_SEND_SIGNAL = 424;
const PIDFD_OPEN = 434;
const SIGKILL = 9;

export class ProcessHandle {
  readonly pid: number;
  /** Readable when the process has ended. */
  readonly descriptor: number;

  private constructor(pid: number, descriptor: number) {
    this.pid = pid;
    this.descriptor = descriptor;
  }

  /** undefined when there is no such process, or the kernel has no such handles. */
  static open(pid: number): ProcessHandle | undefined {
    const descriptor = libc.syscall(PIDFD_OPEN, pid, 0, 0, 0);
    return descriptor < 0 ? undefined : new ProcessHandle(pid, descriptor);
  }

  /** True once no thread of the process can do anything any more. */
  get hasEnded(): boolean {
    const request = Buffer.alloc(8);
    request.writeInt32LE(this.descriptor, 0);
    request.writeInt16LE(libc.POLLIN, 4);
    return libc.poll(libc.addressOf(request), 1, 0) === 1;
  }

  kill(): void {
    libc.syscall(PIDFD_SEND_SIGNAL, this.descriptor, SIGKILL, 0, 0);
  }

  close(): void {
    libc.close(this.descriptor);
  }
}
