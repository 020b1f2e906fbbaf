/**
 * Runs one interface in this process until it is deleted, its socket file is removed, the process is told to end, or
 * another process takes over.
 * @module
 */
import * as libc from '../linux/libc.ts';
import type { TunDevice } from '../tun/tun-device.ts';
import { cryptoChoice } from './crypto-choice.ts';
import { Device } from './device.ts';
import { Log, type LogLevel } from './log.ts';
import { takeoverPath } from './takeover.ts';
import { listenForTakeover, TakeoverGiver } from './takeover-giver.ts';
import { takeOver } from './takeover-taker.ts';
import { UapiServer } from './uapi-server.ts';
import { isListening, SocketFile, uapiPath } from './uapi-socket.ts';

export interface ServeOptions {
  readonly tun: TunDevice;
  /** A listening unix socket. */
  readonly listener: number;
  /** Where the control socket is. */
  readonly directory: string;
  readonly log: Log;
}

/** What ends the interface's life in this process. */
class Life {
  readonly over: Promise<void>;
  readonly #end: () => void;
  wasTaken = false;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.#end = resolve;
  }

  end(): void {
    this.#end();
  }

  taken(): void {
    this.wasTaken = true;
    this.#end();
  }
}

function makeDevice(tun: TunDevice, log: Log, life: Life, frozen: boolean): Device {
  return new Device({
    tun,
    log,
    ...cryptoChoice(process.env),
    frozen,
    onGone: (error) => {
      if (error !== undefined) {
        log.error(error.message);
        process.exitCode = 1;
      }
      life.end();
    },
  });
}

/** Resolves when the interface has been closed and its socket file removed, or another process has it. */
export async function serveDevice({ tun, listener, directory, log }: ServeOptions): Promise<void> {
  const life = new Life();
  const device = makeDevice(tun, log, life, false);
  let server: UapiServer;
  try {
    server = serveUapi(device, listener, log, life);
  } catch (error) {
    // Its thread would keep the process alive, with nobody to configure it.
    await device.close();
    new SocketFile(uapiPath(directory, tun.name)).remove();
    throw error;
  }
  let takeoverListener: number | undefined;
  try {
    takeoverListener = listenForTakeover(takeoverPath(directory, tun.name));
  } catch (error) {
    log.error(`A take-over will not be possible: ${error instanceof Error ? error.message : String(error)}`);
  }
  log.verbose('Device started');
  await live({ tun, device, server, takeoverListener, directory, name: tun.name, log, life });
}

export interface TakeOverOptions {
  readonly interfaceName: string;
  readonly directory: string;
  readonly level: LogLevel;
  /** It runs here now, and the other process has let go. */
  readonly onRunning: () => void;
}

/** Takes the interface over from the process that runs it, then as `serveDevice`. */
export async function takeOverDevice(options: TakeOverOptions): Promise<void> {
  const { interfaceName, directory, level, onRunning } = options;
  const life = new Life();
  const log = new Log(interfaceName, level);
  const taken = await takeOver({
    interfaceName,
    path: takeoverPath(directory, interfaceName),
    isServed: () => isListening(uapiPath(directory, interfaceName)),
    over: life.over,
    makeDevice: (tun) => makeDevice(tun, log, life, true),
  });
  const { tun, device, listener, takeoverListener, connections, formerPid } = taken;
  const server = serveUapi(device, listener, log, life, connections);
  // Said first: the other process lets go when it hears the last word, and there must be no doubt whose crash is whose.
  log.verbose(`Device taken over from process ${formerPid}`);
  await taken.confirm();
  onRunning();
  await live({ tun, device, server, takeoverListener, directory, name: interfaceName, log, life });
}

function serveUapi(
  device: Device,
  listener: number,
  log: Log,
  life: Life,
  connections: readonly number[] = [],
): UapiServer {
  const onFailure = (error: Error): void => {
    log.error(`UAPI: ${error.message}`);
    life.end();
  };
  return new UapiServer(device, listener, onFailure, connections);
}

interface Living {
  readonly tun: TunDevice;
  readonly device: Device;
  readonly server: UapiServer;
  readonly takeoverListener: number | undefined;
  readonly directory: string;
  /** Under which its sockets are. */
  readonly name: string;
  readonly log: Log;
  readonly life: Life;
}

async function live({ tun, device, server, takeoverListener, ...names }: Living): Promise<void> {
  const { directory, name, log, life } = names;
  const giver =
    takeoverListener === undefined
      ? undefined
      : new TakeoverGiver({ device, server, tun, log, onTaken: () => life.taken() }, takeoverListener);
  const files = [new SocketFile(uapiPath(directory, name)), new SocketFile(takeoverPath(directory, name))];
  const stopWatching = files[0]?.onGone(() => {
    log.verbose('UAPI: the socket file is gone');
    life.end();
  });
  // Again and again: timeout(1) and some supervisors tell twice, and the second time must not cut short what the first began.
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => life.end());
  await life.over;
  // One that is under way decides whose the files are.
  await giver?.finish();
  log.verbose('Device closing');
  stopWatching?.();
  giver?.close();
  server.close();
  if (!life.wasTaken) for (const file of files) file.remove();
  await device.close();
  libc.close(tun.fd);
  log.verbose('Device closed');
}
