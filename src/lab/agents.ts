/**
 * Starts the agent of each node, as a DaemonSet would: `kg` with Kilo's flags, in the node's network namespace, its device
 * beside it. The device is left to the lab (--create-interface=false): one that has died stays dead for `lab check` to name.
 * A mount namespace of its own gives the node an /etc/hosts with its name in it, as every host has; without it the agent would
 * ask this machine's resolver through the lab's networks.
 * @module
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KEY } from '../agent/annotations.ts';
import { enterNamespace, namespacePath } from '../linux/namespaces.ts';
import { kubeconfigPath } from './cluster-api.ts';
import type { ClusterReader } from './cluster-reader.ts';
import { deviceDirectory } from './device-client.ts';
import { LabError } from './lab-error.ts';
import { agentProgram } from './paths.ts';
import { type LabPlan, type NodePlan, nodesOf, SERVICE_CIDR, WIREGUARD_CIDR } from './plan.ts';
import { conflistPath } from './pods.ts';
import { identify, isAlive, PROCESS_MARK } from './processes.ts';
import type { LabState, StateFile } from './state.ts';

const START_PATIENCE_MS = 30_000;
const LOOK_INTERVAL_MS = 50;
const OVER_HOSTS = 'mount --bind "$0" /etc/hosts; exec "$@"';

const logOf = (runDirectory: string, name: string): string =>
  join(deviceDirectory(runDirectory, name), 'agent.log');

const flagsOf = (plan: LabPlan, node: NodePlan, runDirectory: string): string[] => [
  `--hostname=${node.name}`,
  `--kubeconfig=${kubeconfigPath(runDirectory)}`,
  `--state-directory=${deviceDirectory(runDirectory, node.name)}`,
  `--cni-path=${conflistPath(node, runDirectory)}`,
  `--mesh-granularity=${plan.options.granularity}`,
  `--subnet=${WIREGUARD_CIDR}`,
  `--service-cidr=${SERVICE_CIDR}`,
  `--internal-cidr=${node.privateIP}/32`,
  // Every cloud is one subnet, so nothing has to be wrapped inside it; and many a kernel has no IPIP.
  '--encapsulate=crosssubnet',
  '--create-interface=false',
  // The namespaces go as a whole.
  '--clean-up=false',
];

/** Starts it and writes it into the record; it has said nothing yet. */
export function startAgent(file: StateFile, state: LabState, plan: LabPlan, node: NodePlan): void {
  const directory = deviceDirectory(file.directory, node.name);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const hosts = join(directory, 'hosts');
  writeFileSync(hosts, `127.0.0.1 localhost\n${node.privateIP} ${node.name}\n`, { mode: 0o644 });
  const log = openSync(logOf(file.directory, node.name), 'a', 0o600);
  const command = [agentProgram(), ...flagsOf(plan, node, file.directory)];
  try {
    const child = enterNamespace(namespacePath(node.netns), () =>
      spawn('unshare', ['--mount', '--propagation', 'slave', 'sh', '-c', OVER_HOSTS, hosts, ...command], {
        detached: true, // a Ctrl-C in the terminal is for us, not for it
        stdio: ['ignore', log, log],
        cwd: '/',
        env: { ...process.env, KILOWIRE_UAPI_DIR: directory, [PROCESS_MARK]: node.name },
      }),
    );
    child.on('error', () => {}); // told by agentsReady
    child.unref();
    const identity = child.pid === undefined ? null : identify(child.pid);
    if (identity === null)
      throw new LabError(
        'ERR_LAB_AGENT',
        `The agent ${command[0]} cannot be started (by unshare, of util-linux).`,
      );
    state.processes.push({ role: 'agent', of: node.name, ...identity });
    file.save(state);
  } finally {
    closeSync(log);
  }
}

/** What an agent said last, of its log of one JSON object a line. */
const lastWords = (runDirectory: string, name: string): string => {
  try {
    const last = readFileSync(logOf(runDirectory, name), 'utf8').trimEnd().split('\n').at(-1) ?? '';
    return last === '' ? '' : ` It said: ${last}`;
  } catch {
    return ''; // only words for an error that is told anyway
  }
};

/** Throws when one of them has ended. */
export function requireAgents(file: StateFile, state: LabState): void {
  const dead = state.processes.find((each) => each.role === 'agent' && !isAlive(each));
  if (dead !== undefined)
    throw new LabError(
      'ERR_LAB_AGENT',
      `The agent of ${dead.of} ended.${lastWords(file.directory, dead.of)}`,
    );
}

/** Waits until each of some nodes has published its key; answers the keys, by node name. */
export async function agentsReady(
  file: StateFile,
  state: LabState,
  reader: ClusterReader,
  nodes: readonly NodePlan[],
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const deadline = performance.now() + START_PATIENCE_MS;
  for (;;) {
    signal.throwIfAborted();
    const objects = await reader.nodes();
    const keys = nodes.map(
      ({ name }) => [name, objects.get(name)?.metadata.annotations?.[KEY] ?? ''] as const,
    );
    const silent = keys.filter(([, key]) => key === '').map(([name]) => name);
    if (silent.length === 0) return Object.fromEntries(keys);
    requireAgents(file, state);
    if (performance.now() > deadline)
      throw new LabError(
        'ERR_LAB_AGENT',
        `The agent of ${silent[0]} says nothing of its node.${lastWords(file.directory, silent[0] ?? '')}`,
      );
    await sleep(LOOK_INTERVAL_MS);
  }
}

/**
 * Those that dial come first: by the time the others' keys are known to them, the others know theirs. A node that dials one
 * that does not know it yet tries again only after five seconds.
 */
export const startOrder = (plan: LabPlan): readonly (readonly NodePlan[])[] =>
  [
    nodesOf(plan).filter(({ keepalive }) => keepalive > 0),
    nodesOf(plan).filter(({ keepalive }) => keepalive === 0),
  ].filter((group) => group.length > 0);
