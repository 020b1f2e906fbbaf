/**
 * What is asked of the kernel over netlink, and how its refusal is told.
 * @module
 */
import { errnoAdvice, errnoName, errnoText } from './errno.ts';
import type { MessageWriter } from './netlink-message.ts';

/** One message to send, as a value: builders in link.ts, route.ts … make them, a NetlinkSocket sends them. */
export interface Request {
  /** The kernel's name, RTM_NEWLINK. */
  readonly name: string;
  /** What it is about, for the error's sentence: `link kube-bridge`. */
  readonly subject: string;
  readonly type: number;
  readonly flags: number;
  readonly body: (writer: MessageWriter) => void;
}

export class NetlinkError extends Error {
  readonly code = 'ERR_NETLINK';
  readonly errno: number;
  readonly errnoName: string;
  readonly request: string;
  readonly subject: string;
  /** What the kernel says in words, when it does. */
  readonly extack: string | undefined;

  constructor(request: Pick<Request, 'name' | 'subject'>, errno: number, extack?: string, cause?: unknown) {
    const said = extack ? ` The kernel says: ${extack}.` : '';
    super(
      `${request.name} for ${request.subject} failed: ${errnoText(errno)}.${said}${errnoAdvice(errno)}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = 'NetlinkError';
    this.errno = errno;
    this.errnoName = errnoName(errno);
    this.request = request.name;
    this.subject = request.subject;
    this.extack = extack;
  }
}

/** True for a NetlinkError with one of these numbers: what a caller may treat as "was so already". */
export const isNetlinkError = (error: unknown, ...errnos: readonly number[]): error is NetlinkError =>
  error instanceof NetlinkError && (errnos.length === 0 || errnos.includes(error.errno));
