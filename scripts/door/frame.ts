/**
 * Where the door keeps what it knows: offsets from the register `frame`, on its stack.
 * Sources: struct msghdr, struct sockaddr_un, struct ucred of the kernel's headers.
 * @module
 */

/** As the largest configuration that goes through the socket; a longer one is no pod's. */
export const mostText = 65_536;
export const replySize = 32_768;

export const frame = {
  /** The stack as the kernel left it: argc, argv, envp, auxv. */
  vector: 0,
  environment: 8,
  /** "CNI_COMMAND=…", or 0. */
  command: 16,
  isAdd: 24,
  socket: 32,
  /** argv[0] and the environment, which lie behind one another. */
  text: 40,
  textLength: 48,
  hasWritten: 56,
  parent: 64,
  /** Set in a process that may stay; its number is the end of a pipe. */
  isWorker: 72,
  statusPipe: 80,
  sweepPipe: 88,
  status: 96,
  message: 104,
  vectors: 160,
  header: 208,
  credentials: 224,
  credentialsLength: 240,
  ready: 248,
  pageMask: 256,
  base: 264,
  wordCount: 272,
  address: 280,
  terminal: 400,
  variable: 480,
  time: 600,
  /** Of a socket of its own, and of the lock beside it; 0 for none. */
  listener: 616,
  lock: 624,
  addressLength: 632,
  tries: 640,
  draft: 648,
  /** "CNI_IFNAME=lo". */
  isLoopback: 1016,
  loader: 1024,
  reply: 8192,
  input: 8192 + replySize + 4096,
} as const;

export const frameSize = frame.input + mostText;

/** What door and resident say to each other; src/cni/resident/protocol.ts reads it. */
export const magic = 0x3172_776b;
export const answer = { more: 1, last: 2, yourself: 3 } as const;
/** Of a resident that is stuck, or stopped. */
export const longestWaitSeconds = 10;
export const workerVariable = 'KILOWIRE_CNI_DOOR=';
export const folder = '/run/kilowire/cni/';
export const namespaces = ['net', 'mnt', 'pid', 'user'] as const;
