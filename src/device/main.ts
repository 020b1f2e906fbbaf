/**
 * The program `kilowire-wg [-f|--foreground] [--takeover] INTERFACE-NAME`: a drop-in for wireguard-go. It makes the
 * interface and the control socket, or takes them over from the process that has them (takeover.ts), goes into the
 * background, and then serves until the interface or the socket is removed.
 * @module
 */
import { spawn } from 'node:child_process';
import { closeSync, readFileSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { EMFILE, errnoAdvice } from '../linux/errno.ts';
import * as libc from '../linux/libc.ts';
import { adoptTun, openTun, type TunDevice } from '../tun/tun-device.ts';
import { cryptoChoice } from './crypto-choice.ts';
import { DeviceError } from './device-error.ts';
import { Log, type LogLevel, logLevel } from './log.ts';
import { adoptUapi, listenUapi, uapiDirectory, uapiPath } from './uapi-socket.ts';

const TUN_FD = 'WG_TUN_FD';
const UAPI_FD = 'WG_UAPI_FD';
const FOREGROUND = 'WG_PROCESS_FOREGROUND';
/** Ours: where the process in the background tells the one that waits how its take-over went. */
const REPORT_FD = 'KILOWIRE_REPORT_FD';
const RUNNING = 'running';

export interface DeviceOptions {
  readonly interfaceName: string;
  readonly foreground: boolean;
  /** Go on where the process that runs it stops. */
  readonly takeover?: boolean;
}

const usage =
  'Usage: kilowire-wg [-f/--foreground] [--takeover] INTERFACE-NAME\n       kilowire-wg --version\n';

export function version(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8');
      return String((JSON.parse(text) as { version: string }).version);
    } catch {
      // The bundle lies one folder below package.json, the source two: try the other.
    }
  }
  return 'unknown';
}

function inheritedDescriptor(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') return undefined;
  const fd = Number(text);
  if (!Number.isInteger(fd) || fd < 0)
    throw new RangeError(`${name} must be a descriptor's number, not '${text}'.`);
  return fd;
}

/** Starts ourselves again, detached, with the two descriptors, and leaves. */
function daemonize(tun: TunDevice, uapi: number, level: LogLevel): void {
  const output = process.env.LOG_LEVEL !== undefined && level !== 'silent' ? 'inherit' : 'ignore';
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', output, output, tun.fd, uapi],
    env: { ...process.env, [TUN_FD]: '3', [UAPI_FD]: '4', [FOREGROUND]: '1' },
  });
  child.on('error', (error) => {
    process.stderr.write(`kilowire-wg: the background process did not start: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.unref();
}

/** Starts ourselves again, detached, and leaves when that process runs the interface. */
async function takeOverInBackground(level: LogLevel): Promise<void> {
  const output = process.env.LOG_LEVEL !== undefined && level !== 'silent' ? 'inherit' : 'ignore';
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ['ignore', output, output, 'pipe'],
    env: { ...process.env, [REPORT_FD]: '3', [FOREGROUND]: '1' },
  });
  const report = child.stdio[3] as Readable;
  let text = '';
  report.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    report.once('close', () => resolve());
  });
  child.unref();
  if (text !== RUNNING) {
    throw new DeviceError('ERR_DEVICE_TAKEOVER', text || 'The background process ended without a word.');
  }
}

async function runTakeover({ interfaceName, foreground }: DeviceOptions, level: LogLevel): Promise<void> {
  if (!foreground && process.env[FOREGROUND] !== '1') return takeOverInBackground(level);
  const reportFd = inheritedDescriptor(REPORT_FD);
  const report = (text: string): void => {
    if (reportFd === undefined) return;
    writeSync(reportFd, text);
    closeSync(reportFd);
  };
  const { takeOverDevice } = await import('./serve.ts');
  let isRunning = false;
  try {
    await takeOverDevice({
      interfaceName,
      directory: uapiDirectory(process.env),
      level,
      onRunning: () => {
        isRunning = true;
        report(RUNNING);
      },
    });
  } catch (error) {
    if (!isRunning) report(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** Runs one interface. Resolves when the program has nothing more to do in this process. */
export async function runDevice(options: DeviceOptions): Promise<void> {
  const level = logLevel(process.env.LOG_LEVEL);
  // Before there is anything, and while somebody reads what is wrong.
  cryptoChoice(process.env);
  if (options.takeover === true) return runTakeover(options, level);
  const foreground = options.foreground || process.env[FOREGROUND] === '1';
  const tunFd = inheritedDescriptor(TUN_FD);
  const uapiFd = inheritedDescriptor(UAPI_FD);
  const tun = tunFd === undefined ? openTun(options.interfaceName) : adoptTun(tunFd);
  const directory = uapiDirectory(process.env);
  let listener: number;
  try {
    listener = uapiFd === undefined ? await listenUapi(uapiPath(directory, tun.name)) : adoptUapi(uapiFd);
  } catch (error) {
    libc.close(tun.fd);
    throw error;
  }
  if (!foreground) {
    daemonize(tun, listener, level);
    return;
  }
  const { serveDevice } = await import('./serve.ts');
  await serveDevice({ tun, listener, directory, log: new Log(tun.name, level) });
}

function parseArguments(args: readonly string[]): DeviceOptions | 'version' | 'usage' {
  if (args.length === 1 && args[0] === '--version') return 'version';
  const names = args.filter((word) => !word.startsWith('-'));
  const flags = args.filter((word) => word.startsWith('-'));
  const [interfaceName, ...rest] = names;
  const isKnown = (flag: string): boolean => ['-f', '--foreground', '--takeover'].includes(flag);
  if (interfaceName === undefined || rest.length > 0 || !flags.every(isKnown)) return 'usage';
  const takeover = flags.includes('--takeover');
  return { interfaceName, foreground: flags.some((flag) => flag !== '--takeover'), takeover };
}

/** The command line of kilowire-wg; sets the exit code. */
export async function main(args: readonly string[]): Promise<void> {
  const parsed = parseArguments(args);
  if (parsed === 'version') {
    process.stdout.write(`kilowire-wg v${version()}\n\nUserspace WireGuard daemon for Linux.\n`);
    return;
  }
  if (parsed === 'usage') {
    process.stdout.write(usage);
    return;
  }
  try {
    await runDevice(parsed);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const advice = code === 'EMFILE' ? errnoAdvice(EMFILE) : '';
    process.stderr.write(`kilowire-wg: ${error instanceof Error ? error.message : String(error)}${advice}\n`);
    process.exitCode = 1;
  }
}

// Started as a program: as the source, or as the bundle of the same name.
if (/(?:src\/device\/main\.ts|dist\/kilowire-wg\.js)$/.test(process.argv[1] ?? '')) {
  await main(process.argv.slice(2));
}
