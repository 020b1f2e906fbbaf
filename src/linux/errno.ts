/**
 * Error numbers of Linux by name and in words (include/uapi/asm-generic/errno-base.h and errno.h), for the errors this
 * layer throws. Only x86-64 and arm64 numbers, which agree.
 * @module
 */

const names: Readonly<Record<number, readonly [name: string, text: string]>> = {
  1: ['EPERM', 'operation not permitted'],
  2: ['ENOENT', 'no such file, table or entry'],
  3: ['ESRCH', 'no such entry or process'],
  4: ['EINTR', 'interrupted by a signal'],
  5: ['EIO', 'input/output error'],
  6: ['ENXIO', 'no such device or address'],
  7: ['E2BIG', 'argument list too long'],
  9: ['EBADF', 'bad file descriptor'],
  11: ['EAGAIN', 'would block'],
  12: ['ENOMEM', 'out of memory'],
  13: ['EACCES', 'permission denied'],
  14: ['EFAULT', 'bad memory address'],
  16: ['EBUSY', 'device or resource busy'],
  17: ['EEXIST', 'exists already'],
  18: ['EXDEV', 'cross-device link'],
  19: ['ENODEV', 'no such network device'],
  20: ['ENOTDIR', 'not a directory'],
  21: ['EISDIR', 'is a directory'],
  22: ['EINVAL', 'invalid argument'],
  23: ['ENFILE', 'too many open files in the system'],
  24: ['EMFILE', 'too many open files in this process'],
  25: ['ENOTTY', 'wrong ioctl for this device'],
  27: ['EFBIG', 'file too large'],
  28: ['ENOSPC', 'no space left'],
  30: ['EROFS', 'read-only file system'],
  31: ['EMLINK', 'too many links (a chain that jumps to itself)'],
  32: ['EPIPE', 'broken pipe'],
  33: ['EDOM', 'argument out of domain'],
  34: ['ERANGE', 'out of range'],
  35: ['EDEADLK', 'would deadlock'],
  36: ['ENAMETOOLONG', 'name too long'],
  38: ['ENOSYS', 'not implemented by this kernel'],
  39: ['ENOTEMPTY', 'not empty'],
  40: ['ELOOP', 'too many levels (a jump or master loop)'],
  61: ['ENODATA', 'no data available'],
  62: ['ETIME', 'timer expired'],
  71: ['EPROTO', 'protocol error'],
  74: ['EBADMSG', 'malformed message'],
  75: ['EOVERFLOW', 'value too large'],
  84: ['EILSEQ', 'invalid byte sequence'],
  88: ['ENOTSOCK', 'not a socket'],
  89: ['EDESTADDRREQ', 'destination address required'],
  90: ['EMSGSIZE', 'message too long'],
  91: ['EPROTOTYPE', 'wrong protocol type for socket'],
  92: ['ENOPROTOOPT', 'no such socket option'],
  93: ['EPROTONOSUPPORT', 'protocol not supported by this kernel'],
  95: ['EOPNOTSUPP', 'not supported by this kernel or device'],
  97: ['EAFNOSUPPORT', 'address family not supported by this kernel'],
  98: ['EADDRINUSE', 'address in use'],
  99: ['EADDRNOTAVAIL', 'address not available'],
  100: ['ENETDOWN', 'network is down'],
  101: ['ENETUNREACH', 'network is unreachable'],
  104: ['ECONNRESET', 'connection reset'],
  105: ['ENOBUFS', 'no buffer space: answers were lost'],
  106: ['EISCONN', 'already connected'],
  107: ['ENOTCONN', 'not connected'],
  110: ['ETIMEDOUT', 'timed out'],
  111: ['ECONNREFUSED', 'connection refused'],
  112: ['EHOSTDOWN', 'host is down'],
  113: ['EHOSTUNREACH', 'no route to host'],
  114: ['EALREADY', 'already in progress'],
  115: ['EINPROGRESS', 'in progress'],
  116: ['ESTALE', 'stale handle'],
  117: ['EUCLEAN', 'structure needs cleaning'],
  122: ['EDQUOT', 'quota exceeded'],
};

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EAGAIN = 11;
export const EEXIST = 17;
export const ENODEV = 19;
export const EINVAL = 22;
export const EMFILE = 24;
export const EOPNOTSUPP = 95;
export const EADDRNOTAVAIL = 99;
export const ENETUNREACH = 101;
export const ENOBUFS = 105;

export const errnoName = (errno: number): string => names[errno]?.[0] ?? `errno ${errno}`;

/** "no such network device (ENODEV)" */
export const errnoText = (errno: number): string => {
  const entry = names[errno];
  return entry ? `${entry[1]} (${entry[0]})` : `error number ${errno}`;
};

/** What a person can do about it, where the number alone tells. */
export const errnoAdvice = (errno: number): string => {
  if (errno === 1 || errno === 13) return ' Run it as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN.';
  if (errno === 23 || errno === 24) return ' Raise the limit on open files (ulimit -n).';
  return '';
};
