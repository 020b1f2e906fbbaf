/**
 * The listening unix socket `wg` talks to: made before the program goes into the background, so that a client can
 * connect as soon as the command returns.
 * Source: the WireGuard cross-platform userspace documentation; unix(7).
 * @module
 */
import { existsSync, lstatSync, mkdirSync, rmSync, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as libc from '../linux/libc.ts';
import { unixAddress } from '../linux/unix-socket.ts';
import { DeviceError } from './device-error.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_ACCEPTCONN = 30;
const SO_DOMAIN = 39;
const BACKLOG = 128;
/** How often to look whether the file is there where the kernel does not tell, in ms. */
const LOOK_INTERVAL = 1000;
/** How long a program whose interface was just deleted may take to leave, and how often we look, in ms. */
const LEAVE_TIME = 1500;
const LEAVE_LOOK = 20;

/** Where `wg` looks; KILOWIRE_UAPI_DIR moves it, for interfaces of one name in several network namespaces. */
export const uapiDirectory = (environment: NodeJS.ProcessEnv): string =>
  environment.KILOWIRE_UAPI_DIR || '/var/run/wireguard';

export const uapiPath = (directory: string, interfaceName: string): string =>
  join(directory, `${interfaceName}.sock`);

/** The path as the kernel wants it. Throws DeviceError when it is too long. */
export function socketAddress(path: string): Buffer {
  const address = unixAddress(path);
  if (address !== undefined) return address;
  throw new DeviceError('ERR_DEVICE_SOCKET', `The socket's path is too long for the kernel: ${path}`);
}

/** mkdir -p. Node's own tries for ever where a file system takes no directories, as proc(5) does. */
function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  makeDirectories(dirname(path));
  try {
    mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    // Another interface that starts at the same time wants it too.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** A number among the options of a descriptor (socket(7)); undefined when it is no socket. */
function socketNumber(fd: number, option: number): number | undefined {
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeInt32LE(4);
  return libc.getsockopt(fd, SOL_SOCKET, option, value, length) === 0 ? value.readInt32LE() : undefined;
}

/**
 * A listening socket that somebody else made (WG_UAPI_FD, or our own parent).
 * @throws DeviceError when it is none.
 */
export function adoptUapi(fd: number): number {
  if (socketNumber(fd, SO_DOMAIN) === AF_UNIX && socketNumber(fd, SO_ACCEPTCONN) === 1) return fd;
  throw new DeviceError(
    'ERR_DEVICE_SOCKET',
    `Descriptor ${fd} (WG_UAPI_FD) is no listening unix socket: hand over one, or unset the variable.`,
  );
}

/**
 * Makes the directory (0755) and the socket (0700) and listens. A socket left behind by a program that died is
 * replaced; one that answers is not.
 * @returns the listening descriptor.
 * @throws DeviceError
 */
export async function listenUapi(path: string): Promise<number> {
  const address = socketAddress(path);
  try {
    makeDirectories(dirname(path));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new DeviceError(
      'ERR_DEVICE_SOCKET',
      `The directory ${dirname(path)} cannot be made (${code}); KILOWIRE_UAPI_DIR names another.`,
      { cause },
    );
  }
  const deadline = performance.now() + LEAVE_TIME;
  while (answers(address)) {
    if (performance.now() > deadline) {
      throw new DeviceError(
        'ERR_DEVICE_SOCKET_IN_USE',
        `Another program answers on ${path}: the interface runs already.`,
      );
    }
    await sleep(LEAVE_LOOK);
  }
  const stale = lstatSync(path, { throwIfNoEntry: false });
  if (stale !== undefined && !stale.isSocket()) {
    throw new DeviceError('ERR_DEVICE_SOCKET', `${path} is in the way and is no socket: move it.`);
  }
  rmSync(path, { force: true });
  const fd = libc.socket(AF_UNIX, SOCK_STREAM | libc.O_CLOEXEC, 0);
  if (fd < 0) throw socketError(path, 'made', libc.errno());
  const mask = libc.umask(0o077);
  const errno = libc.bind(fd, address, address.length) < 0 ? libc.errno() : 0;
  libc.umask(mask);
  if (errno === 0 && libc.listen(fd, BACKLOG) === 0) return fd;
  const failure = socketError(path, errno === 0 ? 'listened on' : 'made', errno || libc.errno());
  libc.close(fd);
  throw failure;
}

/** Whether some program serves the control socket at the path. */
export const isListening = (path: string): boolean => answers(socketAddress(path));

/** Whether some program serves the socket; one that was left behind refuses. */
function answers(address: Buffer): boolean {
  // One whose queue is full would let us wait.
  const probe = libc.socket(AF_UNIX, SOCK_STREAM | libc.O_NONBLOCK | libc.O_CLOEXEC, 0);
  try {
    return libc.connect(probe, address, address.length) === 0 || libc.errno() === libc.Errno.EAGAIN;
  } finally {
    libc.close(probe);
  }
}

function socketError(path: string, verb: string, errno: number): DeviceError {
  return new DeviceError(
    'ERR_DEVICE_SOCKET',
    `The control socket ${path} cannot be ${verb} (${libc.errnoName(errno)}).`,
  );
}

/** Our own socket file, told from one somebody made later under the same name. */
export class SocketFile {
  readonly path: string;
  readonly #identity: string | undefined;

  constructor(path: string) {
    this.path = path;
    this.#identity = this.#currentIdentity();
  }

  /** The inode's number alone would not do: file systems give it out again. */
  #currentIdentity(): string | undefined {
    const stat = lstatSync(this.path, { bigint: true, throwIfNoEntry: false });
    return stat === undefined ? undefined : `${stat.dev}:${stat.ino}:${stat.ctimeNs}`;
  }

  get isOurs(): boolean {
    return this.#identity !== undefined && this.#currentIdentity() === this.#identity;
  }

  /** Calls back once when the file is removed or replaced: the sign to leave. Returns how to stop watching. */
  onGone(callback: () => void): () => void {
    let stop: () => void;
    const look = (): void => {
      if (this.isOurs) return;
      stop();
      callback();
    };
    const poll = (): void => {
      const timer = setInterval(look, LOOK_INTERVAL);
      stop = () => clearInterval(timer);
    };
    stop = () => undefined;
    try {
      // The file and not its directory, where the sockets of other interfaces come and go.
      const watcher = watch(this.path, look);
      watcher.on('error', () => {
        watcher.close();
        poll();
      });
      stop = () => watcher.close();
    } catch {
      // Every inotify instance the user may have is taken (fs.inotify.max_user_instances).
      poll();
    }
    // It may have gone before anybody watched.
    setImmediate(look);
    return () => stop();
  }

  remove(): void {
    if (this.isOurs) rmSync(this.path, { force: true });
  }
}
