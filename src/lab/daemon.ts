/**
 * The lab's one resident process besides devices and agents: the API server they talk to, the web page and the resolver in
 * their pods, and the switch that lets `wg` find each node's device.
 * @module
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { namespacePath } from '../linux/namespaces.ts';
import { serveClusterApi } from './cluster-api.ts';
import { deviceSocket } from './device-client.ts';
import { serveDns } from './dns.ts';
import { LabError } from './lab-error.ts';
import { ownCommandLine } from './paths.ts';
import { type LabPlan, nodesOf, planLab } from './plan.ts';
import { SWITCH_SOCKET } from './preflight.ts';
import { identify, PROCESS_MARK } from './processes.ts';
import { type LabState, StateFile } from './state.ts';
import { namespaceKey, serveUapiSwitch } from './uapi-switch.ts';
import { serveWeb } from './web.ts';

/** The hidden subcommand it is started by. */
export const DAEMON_COMMAND = 'daemon';
const READY = 'ready\n';
const START_PATIENCE_MS = 30_000;

/** Runs in the daemon's process until it is told to end. */
export async function runDaemon(): Promise<void> {
  const file = new StateFile();
  const found = file.find();
  if (found.kind === 'none' || found.state === null)
    throw new LabError('ERR_LAB_NOT_UP', 'There is no lab to serve: start one with kilowire lab up.');
  const plan = planLab(found.state.options);
  const { web, dns, laptop } = plan;
  await serveClusterApi(plan, found.state.publicKeys[laptop.name] ?? '', file.directory);
  await serveWeb(web.pod.netns, web.pod.name, web.port);
  await serveDns(dns.pod.netns, dns.port, new Map([web, dns].map((service) => [service.dns, service.ip])));
  await serveUapiSwitch(SWITCH_SOCKET, deviceSockets(plan, file.directory));
  const end = (): void => {
    rmSync(SWITCH_SOCKET, { force: true });
    process.exit(0);
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  process.stdout.on('error', () => {}); // nobody listens after the first word
  process.stdout.write(READY);
}

const deviceSockets = (plan: LabPlan, runDirectory: string): Map<string, string> =>
  new Map(
    [...nodesOf(plan), plan.laptop].map(({ name, netns }) => [
      namespaceKey(statSync(namespacePath(netns))),
      deviceSocket(runDirectory, name),
    ]),
  );

/** Starts it and waits until it serves. */
export async function startDaemon(file: StateFile, state: LabState): Promise<void> {
  const logPath = join(file.directory, 'daemon.log');
  const log = openSync(logPath, 'a', 0o600);
  const child = spawn(process.execPath, [...process.execArgv, ...ownCommandLine(), 'lab', DAEMON_COMMAND], {
    detached: true,
    stdio: ['ignore', 'pipe', log],
    cwd: '/',
    env: { ...process.env, [PROCESS_MARK]: 'daemon' },
  });
  closeSync(log);
  const { stdout } = child;
  if (stdout === null)
    throw new LabError('ERR_LAB_DAEMON', "The lab's services have no way to say that they run.");
  const identity = child.pid === undefined ? null : identify(child.pid);
  if (identity !== null) {
    state.processes.push({ role: 'daemon', of: 'lab', ...identity });
    file.save(state);
  }
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (reason: string): void =>
        reject(new LabError('ERR_LAB_DAEMON', `The lab's services did not start: ${reason}.`));
      const timer = setTimeout(() => fail('they took too long'), START_PATIENCE_MS);
      timer.unref();
      child.once('error', (error) => fail(error.message));
      child.once('exit', (status) => {
        const said = readFileSync(logPath, 'utf8').trim();
        fail(said || `their process ended with status ${status}`);
      });
      stdout.once('data', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  } finally {
    stdout.destroy();
    child.removeAllListeners('exit');
    child.unref();
  }
}
