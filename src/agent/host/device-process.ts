/**
 * The device is a process of its own, or the kernel's: an agent that ends, crashes or is replaced costs no packet. One that
 * runs already is adopted, whoever made it; one that is missing is made, and one that keeps ending ever more rarely.
 * Source: docs/architecture.md; wireguard-go's -f (foreground) and the place of its socket.
 * @module
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EEXIST, EOPNOTSUPP } from '../../linux/errno.ts';
import { newLink } from '../../linux/link.ts';
import { isNetlinkError } from '../../linux/netlink.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { AgentError } from '../agent-error.ts';
import { BackOff } from '../kubernetes/back-off.ts';
import { DeviceControl } from './device-control.ts';
import { KernelControl } from './kernel-control.ts';

const START_PATIENCE_MS = 10_000;
const LOOK_MS = 20;
/** Whoever has lived this long has not ended of what ended the one before. */
const CALM_MS = 60_000;

/** Who makes the device that is missing; `auto`: the kernel where it can, else our own program. */
export type DeviceBackend = 'userspace' | 'kernel' | 'auto';

export interface DeviceProcessOptions {
  readonly interfaceName: string;
  readonly stateDirectory: string;
  readonly mayCreate: boolean;
  readonly environment: NodeJS.ProcessEnv;
  /** Default `userspace`. */
  readonly backend?: DeviceBackend;
  /** A device that ended may be started again. */
  readonly onDue?: () => void;
}

/** Where `wg` looks for control sockets; KILOWIRE_UAPI_DIR moves it. */
const socketPath = (environment: NodeJS.ProcessEnv, interfaceName: string): string =>
  join(environment.KILOWIRE_UAPI_DIR || '/var/run/wireguard', `${interfaceName}.sock`);

export class DeviceProcess {
  readonly #options: DeviceProcessOptions;
  readonly #backOff = new BackOff({ firstMs: 1000, longestMs: 60_000 });
  #control: DeviceControl;
  /** Of the last start of ours; 0 before there was one. */
  #startedAt = 0;
  #notBefore = 0;
  #due: NodeJS.Timeout | undefined;

  constructor(options: DeviceProcessOptions) {
    this.#options = options;
    this.#control = new DeviceControl(socketPath(options.environment, options.interfaceName));
  }

  /** To whoever answers for the link now. */
  get control(): DeviceControl {
    return this.#control;
  }

  /** Sees to it that there is a link with a device behind it. `kind` is the link's; undefined: there is none. */
  async ensure(link: { readonly kind: string } | undefined): Promise<'adopted' | 'started'> {
    const { interfaceName, mayCreate, backend = 'userspace' } = this.#options;
    if (link !== undefined) {
      this.#speakTo(link.kind === 'wireguard');
      return 'adopted';
    }
    if (!mayCreate)
      throw new AgentError(
        'ERR_AGENT_LINK',
        `There is no link ${interfaceName}, and --create-interface=false says not to make one: start its device first.`,
      );
    if (backend !== 'userspace' && makeInKernel(interfaceName, backend)) {
      this.#speakTo(true);
      return 'started';
    }
    this.#speakTo(false);
    this.#restrain();
    this.#startedAt = performance.now();
    await this.#start();
    return 'started';
  }

  #speakTo(kernel: boolean): void {
    if (kernel === this.#control instanceof KernelControl) return;
    const { environment, interfaceName } = this.#options;
    this.#control = kernel
      ? new KernelControl(interfaceName)
      : new DeviceControl(socketPath(environment, interfaceName));
  }

  /** Throws while one that has just ended has to wait. The first that ends is replaced at once. */
  #restrain(): void {
    const now = performance.now();
    if (this.#startedAt === 0 || now - this.#startedAt > CALM_MS) {
      this.#backOff.reset();
      this.#notBefore = 0;
      return;
    }
    if (this.#notBefore < this.#startedAt) this.#notBefore = now + this.#backOff.next();
    if (now >= this.#notBefore) return;
    const { interfaceName, stateDirectory, onDue } = this.#options;
    clearTimeout(this.#due);
    this.#due = setTimeout(() => onDue?.(), this.#notBefore - now);
    this.#due.unref();
    const said = lastLine(join(stateDirectory, `${interfaceName}.log`));
    throw new AgentError(
      'ERR_AGENT_DEVICE',
      `The device of ${interfaceName} ended soon after it was started${said && ` (${said})`}: it is started again, ever more rarely.`,
    );
  }

  async #start(): Promise<void> {
    const { interfaceName, stateDirectory, environment } = this.#options;
    const program = environment.KILOWIRE_DEVICE_PROGRAM || ownProgram();
    const logPath = join(stateDirectory, `${interfaceName}.log`);
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    const log = openSync(logPath, 'a', 0o600);
    let ended = '';
    try {
      // A process of its own session: what ends the agent does not end it.
      const child = spawn(program, ['-f', interfaceName], {
        detached: true,
        stdio: ['ignore', log, log],
        cwd: '/',
        env: environment,
      });
      child.on('error', (error) => {
        ended = error.message;
      });
      child.on('exit', (status, signal) => {
        ended = `it ended with ${signal ?? `status ${status}`}`;
      });
      child.unref();
    } finally {
      closeSync(log);
    }
    const deadline = performance.now() + START_PATIENCE_MS;
    for (;;) {
      try {
        await this.control.read();
        return;
      } catch (cause) {
        if (ended === '' && performance.now() < deadline) {
          await sleep(LOOK_MS);
          continue;
        }
        const said = lastLine(logPath);
        const why = ended === '' ? `it does not answer on ${this.control.path}` : ended;
        throw new AgentError('ERR_AGENT_DEVICE', `${program} did not start: ${why}${said && ` (${said})`}.`, {
          cause,
        });
      }
    }
  }
}

const lastLine = (path: string): string => {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').at(-1) ?? '';
  } catch {
    return ''; // only words for an error that is told anyway
  }
};

/** False where the kernel has no WireGuard and somebody else may make the link. */
const makeInKernel = (name: string, backend: DeviceBackend): boolean => {
  const socket = openRouteSocket();
  try {
    socket.request(newLink({ kind: 'wireguard', name }));
    return true;
  } catch (cause) {
    if (isNetlinkError(cause, EEXIST)) return true;
    if (!isNetlinkError(cause, EOPNOTSUPP)) throw cause;
    if (backend === 'auto') return false;
    throw new AgentError(
      'ERR_AGENT_DEVICE',
      `This kernel has no WireGuard, so it cannot make ${name}: load its module (modprobe wireguard), or give --device=userspace.`,
      { cause },
    );
  } finally {
    socket.close();
  }
};

/** bin/kilowire-wg of this package, from the source or from the bundle. */
const ownProgram = (): string => {
  for (let at = dirname(fileURLToPath(import.meta.url)); at !== '/'; at = dirname(at)) {
    const program = join(at, 'bin', 'kilowire-wg');
    if (existsSync(program)) return program;
  }
  throw new AgentError(
    'ERR_AGENT_DEVICE',
    'bin/kilowire-wg is missing: install kilowire anew, or set KILOWIRE_DEVICE_PROGRAM.',
  );
};
