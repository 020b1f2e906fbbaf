/**
 * Who may be served, with what and for how long. A resident acts with its own rights and sees the machine as it does itself, so it
 * works for those only who could do the same, and leaves whatever depends on more than the request to the caller.
 * Sources: proc(5) status CapEff and root; capabilities(7).
 * @module
 */
import { readFileSync, statSync } from '#sys';
import type { LocalService } from '../../linux/local-service.ts';
import { isNetwork } from '../call.ts';
import { IpamPlugin } from '../delegate.ts';
import type { Environment, Request } from '../request.ts';

/** It has 5 to 14 MiB of its own; the rest are pages of the executable, which the kernel takes back when it wants them. */
const defaultIdleSeconds = 600;

function capabilitiesOf(process: number | 'self'): bigint {
  const status = readFileSync(`/proc/${process}/status`, 'utf8');
  return BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
}

export class CallerCheck {
  readonly #service: LocalService;
  readonly #own = capabilitiesOf('self');
  readonly #root = statSync('/');

  constructor(service: LocalService) {
    this.#service = service;
  }

  /** Root, with all that we may do, and with our root directory. A process that has ended has no answer to get. */
  mayAsk(connection: number): boolean {
    const { pid, uid } = this.#service.peerOf(connection);
    if (uid !== 0 || pid <= 0) return false;
    const root = statSync(`/proc/${pid}/root`, { throwIfNoEntry: false });
    if (root?.ino !== this.#root.ino || root.dev !== this.#root.dev) return false;
    return (capabilitiesOf(pid) & this.#own) === this.#own;
  }
}

/** False for what may wait, needs another process, or means something else to the caller than to us. */
export function canBeServed(request: Request, env: Environment): boolean {
  const { verb, config, netns, stdin = '' } = request;
  if (verb === 'GC' || (netns !== '' && !netns.startsWith('/'))) return false;
  if (ownView.some((path) => netns.startsWith(path) || stdin.includes(path)) || stdin.includes('\\/'))
    return false;
  if (verb === 'ADD' && config.boolean('enabledad')) return false;
  const paths = [config.string('subnetFile'), config.object('ipam').string('resolvConf')];
  if (paths.some((path) => path !== '' && !path.startsWith('/'))) return false;
  return IpamPlugin.of(request, env) === undefined;
}

/** Seconds without a request after which a resident goes; undefined when the configuration is not one that decides. */
export function idleSecondsOf(type: string, { config }: Request): number | undefined {
  if (!isNetwork(type)) return undefined;
  return Math.max(0, config.has('resident') ? config.integer('resident') : defaultIdleSeconds);
}

const ownView = ['/proc/self', '/proc/thread-self', '/dev/fd'];
