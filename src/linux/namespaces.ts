/**
 * Network namespaces: enter one for the length of a function, make and delete named ones as iproute2 does, so that
 * `ip netns exec NAME …` works on them. Sources: setns(2), unshare(2), mount(2), ip-netns(8).
 * @module
 */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  sys,
  unlinkSync,
  writeFileSync,
} from '#sys';
import { EINVAL, ENOENT } from './errno.ts';
import { changeLink } from './link.ts';
import type { NetlinkSocket } from './netlink.ts';
import { openRouteSocket } from './rtnetlink.ts';
import {
  CLONE_NEWNET,
  LOCK_EX,
  LOCK_UN,
  MNT_DETACH,
  MS_BIND,
  MS_REC,
  MS_SHARED,
  SystemError,
} from './sys.ts';

export const NAMED_NAMESPACES = '/run/netns';
/** Of the calling thread: /proc/self would be the main thread's, also in a worker. */
const OWN_NAMESPACE = '/proc/thread-self/ns/net';
const LOOPBACK = 1;

export class NamespaceError extends Error {
  readonly code:
    | 'ERR_NAMESPACE_MISSING'
    | 'ERR_NAMESPACE_EXISTS'
    | 'ERR_NAMESPACE_NAME'
    | 'ERR_NAMESPACE_ASYNC';
  constructor(code: NamespaceError['code'], message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'NamespaceError';
    this.code = code;
  }
}

/** A path, or an open descriptor of a namespace. */
export type NamespaceRef = string | number;

export const namespacePath = (name: string): string => {
  if (!/^[A-Za-z0-9_.-]{1,255}$/.test(name) || name === '.' || name === '..') {
    throw new NamespaceError(
      'ERR_NAMESPACE_NAME',
      `"${name}" cannot name a network namespace: letters, digits, dot, dash and underscore only.`,
    );
  }
  return `${NAMED_NAMESPACES}/${name}`;
};

/** Opens a namespace by path (/run/netns/NAME, /proc/PID/ns/net). The caller closes the descriptor. */
export const openNamespace = (path: string): number => {
  try {
    return openSync(path, constants.O_RDONLY);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new NamespaceError('ERR_NAMESPACE_MISSING', `There is no network namespace at ${path}.`, cause);
  }
};

/**
 * Runs `fn` with this thread in the namespace. Only what happens before `fn` returns is inside: it must be synchronous,
 * and must start nothing (a libuv pool thread born inside would stay there for good).
 */
export const enterNamespace = <T>(namespace: NamespaceRef, fn: () => T): T => {
  const own = openNamespace(OWN_NAMESPACE);
  let entered: number | undefined;
  try {
    entered = typeof namespace === 'number' ? namespace : openNamespace(namespace);
    sys.setns(entered, CLONE_NEWNET);
    let result: T;
    try {
      result = fn();
    } finally {
      sys.setns(own, CLONE_NEWNET);
    }
    if (result instanceof Promise) {
      throw new NamespaceError(
        'ERR_NAMESPACE_ASYNC',
        'A function run inside a network namespace must be synchronous: its promise would go on outside.',
      );
    }
    return result;
  } finally {
    if (entered !== undefined && typeof namespace === 'string') closeSync(entered);
    closeSync(own);
  }
};

/** A netlink socket that stays in the namespace it was opened in. */
export const openRouteSocketIn = (namespace: NamespaceRef): NetlinkSocket =>
  enterNamespace(namespace, openRouteSocket);

/** /run/netns has to be a shared mount, so that namespaces made here appear in other mount namespaces too. */
const shareDirectory = (): void => {
  mkdirSync(NAMED_NAMESPACES, { recursive: true, mode: 0o755 });
  const lock = openSync(NAMED_NAMESPACES, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    sys.flock(lock, LOCK_EX);
    try {
      sys.mount('', NAMED_NAMESPACES, 'none', MS_SHARED | MS_REC);
    } catch (error) {
      // Not a mount point yet: make it one, once.
      if (!(error instanceof SystemError) || error.errno !== EINVAL) throw error;
      sys.mount(NAMED_NAMESPACES, NAMED_NAMESPACES, 'none', MS_BIND | MS_REC);
      sys.mount('', NAMED_NAMESPACES, 'none', MS_SHARED | MS_REC);
    }
    sys.flock(lock, LOCK_UN);
  } finally {
    closeSync(lock);
  }
};

let shared = false;

/** Makes /run/netns/NAME with its loopback up, and answers the path. */
export const createNamedNamespace = (name: string): string => {
  const path = namespacePath(name);
  if (!shared) shareDirectory();
  shared = true;
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_CREAT | constants.O_EXCL, 0));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new NamespaceError(
      'ERR_NAMESPACE_EXISTS',
      `There is a network namespace ${name} already; delete it with: ip netns delete ${name}`,
      cause,
    );
  }
  const own = openNamespace(OWN_NAMESPACE);
  try {
    sys.unshare(CLONE_NEWNET);
    try {
      sys.mount(OWN_NAMESPACE, path, 'none', MS_BIND);
      const socket = openRouteSocket();
      try {
        socket.request(changeLink(LOOPBACK, { up: true }));
      } finally {
        socket.close();
      }
    } finally {
      sys.setns(own, CLONE_NEWNET);
    }
    return path;
  } catch (error) {
    deleteNamedNamespace(name);
    throw error;
  } finally {
    closeSync(own);
  }
};

/** Gone already is no error. Its links go when the last process or descriptor in it has gone too. */
export const deleteNamedNamespace = (name: string): boolean => {
  const path = namespacePath(name);
  try {
    sys.umount2(path, MNT_DETACH);
  } catch (error) {
    if (!(error instanceof SystemError) || (error.errno !== EINVAL && error.errno !== ENOENT)) throw error;
  }
  try {
    unlinkSync(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
};

export const listNamedNamespaces = (): string[] => {
  try {
    return readdirSync(NAMED_NAMESPACES).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
};

/** "net/ipv4/ip_forward", or with dots; a link's own name goes in as it is, between slashes. */
const sysctlPath = (name: string): string =>
  `/proc/sys/${name.includes('/') ? name : name.replaceAll('.', '/')}`;

/** Of the namespace this thread is in (net/… follows the thread). */
export const writeSysctl = (name: string, value: string | number): void =>
  writeFileSync(sysctlPath(name), String(value));

export const readSysctl = (name: string): string => readFileSync(sysctlPath(name), 'utf8').trim();

/** Several at once in another namespace: `writeSysctlsIn(path, { 'net/ipv4/ip_forward': 1 })`. */
export const writeSysctlsIn = (
  namespace: NamespaceRef,
  values: Readonly<Record<string, string | number>>,
): void =>
  enterNamespace(namespace, () => {
    for (const [name, value] of Object.entries(values)) writeSysctl(name, value);
  });
