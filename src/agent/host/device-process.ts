/**
 * The device is a process of its own: an agent that ends, crashes or is replaced costs no packet. One that runs already is
 * adopted, whoever made it; one that is missing is started.
 * Source: docs/architecture.md; wireguard-go's -f (foreground) and the place of its socket.
 * @module
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AgentError } from '../agent-error.ts';
import { DeviceControl } from './device-control.ts';

const START_PATIENCE_MS = 10_000;
const LOOK_MS = 20;

export interface DeviceProcessOptions {
  readonly interfaceName: string;
  readonly stateDirectory: string;
  readonly mayCreate: boolean;
  readonly environment: NodeJS.ProcessEnv;
}

/** Where `wg` looks for control sockets; KILOWIRE_UAPI_DIR moves it. */
const socketPath = (environment: NodeJS.ProcessEnv, interfaceName: string): string =>
  join(environment.KILOWIRE_UAPI_DIR || '/var/run/wireguard', `${interfaceName}.sock`);

export class DeviceProcess {
  readonly control: DeviceControl;
  readonly #options: DeviceProcessOptions;

  constructor(options: DeviceProcessOptions) {
    this.#options = options;
    this.control = new DeviceControl(socketPath(options.environment, options.interfaceName));
  }

  /** Sees to it that there is a link with a device behind it. `kind` is the link's, '' when there is none. */
  async ensure(link: { readonly kind: string } | undefined): Promise<'adopted' | 'started'> {
    const { interfaceName, mayCreate } = this.#options;
    if (link !== undefined) {
      if (link.kind === 'wireguard')
        throw new AgentError(
          'ERR_AGENT_DEVICE',
          `${interfaceName} is a WireGuard link of the kernel, which this version cannot program: delete it (ip link delete ${interfaceName}), or choose another name with --interface.`,
        );
      await this.control.read();
      return 'adopted';
    }
    if (!mayCreate)
      throw new AgentError(
        'ERR_AGENT_LINK',
        `There is no link ${interfaceName}, and --create-interface=false says not to make one: start its device first.`,
      );
    await this.#start();
    return 'started';
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
