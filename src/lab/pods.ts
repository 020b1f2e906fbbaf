/**
 * Pods the way a runtime makes them: a namespace, then the CNI executable with ADD in the environment and the network
 * configuration on its standard input, run in the network namespace of the node.
 * Source: CNI specification 1.1.0 §2 (environment), §3 (execution); kilo.md §6 for Kilo's own conflist.
 * @module
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { enterNamespace, namespacePath } from '../linux/namespaces.ts';
import { deviceDirectory } from './device-client.ts';
import { LabError } from './lab-error.ts';
import { cniProgram } from './paths.ts';
import { BRIDGE, MTU, type NodePlan, type PodPlan } from './plan.ts';
import { PROCESS_MARK } from './processes.ts';

const POD_INTERFACE = 'eth0';
const TIMEOUT_MS = 10_000;

const cniDirectory = (node: NodePlan, runDirectory: string): string =>
  join(deviceDirectory(runDirectory, node.name), 'cni');

/** Of each node its own, though all share one file system. */
export const conflistPath = (node: NodePlan, runDirectory: string): string =>
  join(cniDirectory(node, runDirectory), '10-kilo.conflist');

/** What an administrator installs on a node; the range its pods get their addresses from is the agent's to fill in. */
export const conflist = (node: NodePlan, runDirectory: string) => ({
  cniVersion: '1.1.0',
  name: 'kubernetes',
  plugins: [
    {
      type: 'kilowire',
      bridge: BRIDGE,
      isDefaultGateway: true,
      forceAddress: true,
      mtu: MTU,
      stateDir: join(cniDirectory(node, runDirectory), 'state'),
      ipam: { type: 'host-local', dataDir: join(cniDirectory(node, runDirectory), 'leases') },
    },
  ],
});

export function installConflist(node: NodePlan, runDirectory: string): void {
  mkdirSync(cniDirectory(node, runDirectory), { recursive: true, mode: 0o700 });
  writeFileSync(conflistPath(node, runDirectory), JSON.stringify(conflist(node, runDirectory)));
}

/** The one plugin of a conflist, as libcni hands it over: with the network's name and version put in. */
export function networkConfig(text: string): Record<string, unknown> {
  const { cniVersion, name, plugins } = JSON.parse(text) as ReturnType<typeof conflist>;
  return { cniVersion, name, ...plugins[0] };
}

const configOf = (node: NodePlan, runDirectory: string): Record<string, unknown> =>
  networkConfig(readFileSync(conflistPath(node, runDirectory), 'utf8'));

const run = (node: NodePlan, pod: PodPlan, command: 'ADD' | 'DEL', config: unknown): Promise<string> =>
  new Promise((resolve, reject) => {
    const fail = (reason: string, cause?: unknown): void =>
      reject(new LabError('ERR_LAB_CNI', `CNI ${command} of ${pod.name} failed: ${reason}`, { cause }));
    const child = enterNamespace(namespacePath(node.netns), () =>
      spawn(cniProgram(), {
        stdio: ['pipe', 'pipe', 'pipe'],
        timeout: TIMEOUT_MS,
        killSignal: 'SIGKILL',
        env: {
          [PROCESS_MARK]: pod.name,
          CNI_COMMAND: command,
          CNI_CONTAINERID: pod.netns,
          CNI_NETNS: namespacePath(pod.netns),
          CNI_IFNAME: POD_INTERFACE,
          CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod.name}`,
          CNI_PATH: join(cniProgram(), '..'),
        },
      }),
    );
    let out = '';
    let complaints = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaints += text;
    });
    child.stdin.on('error', () => {}); // it may end without reading; its exit tells
    child.on('error', (error) => fail(error.message, error));
    child.on('close', (status, signal) => {
      if (status === 0) resolve(out);
      else if (signal !== null) fail(`it did not end within ${TIMEOUT_MS / 1000} s`);
      else fail(readError(out) || complaints.trim() || `exit status ${status}`);
    });
    child.stdin.end(JSON.stringify(config));
  });

const readError = (out: string): string => {
  try {
    const { msg, details } = JSON.parse(out) as { msg?: string; details?: string };
    return [msg, details].filter(Boolean).join('; ');
  } catch {
    return '';
  }
};

/** The pod's first IPv4 address in a CNI result, without its prefix length. */
export function addressInResult(text: string): string | null {
  let result: { ips?: readonly { address?: unknown }[] } | null;
  try {
    result = JSON.parse(text);
  } catch {
    return null;
  }
  const address = result?.ips?.[0]?.address;
  return typeof address === 'string' ? (address.split('/')[0] ?? null) : null;
}

/** CNI ADD: wires a pod to its node; answers its address. */
export async function addPod(node: NodePlan, pod: PodPlan, runDirectory: string): Promise<string> {
  const ip = addressInResult(await run(node, pod, 'ADD', configOf(node, runDirectory)));
  if (ip === null) throw new LabError('ERR_LAB_CNI', `CNI ADD of ${pod.name} answered no address.`);
  return ip;
}

/** CNI DEL, as before a pod goes. */
export const deletePod = async (node: NodePlan, pod: PodPlan, runDirectory: string): Promise<void> => {
  await run(node, pod, 'DEL', configOf(node, runDirectory));
};
