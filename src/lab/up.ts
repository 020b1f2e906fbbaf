/**
 * Builds a lab, step by step; what each step is about to make is in the record before it is made.
 * @module
 */
import { createNamedNamespace, NAMED_NAMESPACES } from '../linux/namespaces.ts';
import type { Topology } from '../routing/topology.ts';
import { agentsReady, requireAgents, startAgent, startOrder } from './agents.ts';
import { ClusterReader } from './cluster-reader.ts';
import { startDaemon } from './daemon.ts';
import { deviceReady, startDevice } from './devices.ts';
import { missingDirectories } from './down.ts';
import { generateKeyPair, type KeyPair } from './keys.ts';
import { joinMesh } from './mesh.ts';
import { API, type LabPlan, namespacesOf, nodesOf } from './plan.ts';
import { addPod, installConflist } from './pods.ts';
import { UAPI_DIRECTORY } from './preflight.ts';
import type { Progress } from './progress.ts';
import { RESOLVER_ROOT, writeResolverFiles } from './resolver-files.ts';
import { programServices } from './service-nat.ts';
import type { LabState, StateFile } from './state.ts';
import { buildUnderlay } from './underlay.ts';

export interface UpContext {
  readonly plan: LabPlan;
  readonly file: StateFile;
  readonly state: LabState;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

const makeNamespaces = async ({ plan, file, state, signal }: UpContext): Promise<{ detail: string }> => {
  const names = namespacesOf(plan);
  state.namespaces.push(...names);
  state.directories.push(...missingDirectories([NAMED_NAMESPACES, UAPI_DIRECTORY, RESOLVER_ROOT]));
  file.save(state);
  for (const name of names) {
    signal.throwIfAborted();
    createNamedNamespace(name);
  }
  return { detail: `${names.length}` };
};

const startDevices = async (context: UpContext): Promise<{ detail: string }> => {
  const { plan, file, state, signal } = context;
  const homes = [...nodesOf(plan), plan.laptop];
  for (const home of homes) {
    signal.throwIfAborted();
    startDevice(file, state, home);
  }
  await Promise.all(homes.map(({ name }) => deviceReady(file, state, name, signal)));
  return { detail: `${homes.length} running` };
};

const startAgents = async (context: UpContext, reader: ClusterReader): Promise<{ detail: string }> => {
  const { plan, file, state, signal } = context;
  for (const nodes of startOrder(plan)) {
    for (const node of nodes) {
      signal.throwIfAborted();
      installConflist(node, file.directory);
      startAgent(file, state, plan, node);
    }
    Object.assign(state.publicKeys, await agentsReady(file, state, reader, nodes, signal));
  }
  file.save(state);
  return { detail: `${nodesOf(plan).length} running` };
};

const addPods = async ({ plan, file, state, signal }: UpContext): Promise<{ detail: string }> => {
  // All of them end before a failure of one is told: whoever takes the lab down must not have them at work meanwhile.
  const outcomes = await Promise.allSettled(
    nodesOf(plan).map(async (node) => {
      for (const pod of node.pods) {
        signal.throwIfAborted();
        state.podIPs[pod.name] = await addPod(node, pod, file.directory);
      }
    }),
  );
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  file.save(state);
  return { detail: `${Object.keys(state.podIPs).length} pods` };
};

const join = async (
  { plan, file, state, signal }: UpContext,
  reader: ClusterReader,
  laptopKeys: KeyPair,
  note: (text: string) => void,
): Promise<{ detail: string; topology: Topology }> => {
  const { topology, wireguardIPs } = await joinMesh(
    { plan, runDirectory: file.directory, reader, publicKeys: state.publicKeys, signal },
    laptopKeys,
    note,
    () => requireAgents(file, state),
  );
  Object.assign(state.wireguardIPs, wireguardIPs);
  file.save(state);
  const shape = `${topology.segments.length} segments, ${plan.options.granularity} mesh`;
  return { detail: `${shape}, every node as computed`, topology };
};

/** Builds it whole; answers its topology. What was made is taken down by the caller when this throws. */
export async function buildLab(context: UpContext): Promise<Topology> {
  const { plan, file, state, progress } = context;
  const laptopKeys = generateKeyPair();
  state.publicKeys[plan.laptop.name] = laptopKeys.publicKey;
  try {
    await progress.step('network namespaces', () => makeNamespaces(context));
    await progress.step('clouds behind NAT routers, joined by a wan', async () => {
      buildUnderlay(plan);
      return { detail: plan.clouds.map(({ name }) => name).join(', ') };
    });
    await progress.step('WireGuard devices', () => startDevices(context));
    const reader = await progress
      .step('Kubernetes API', async () => {
        writeResolverFiles(plan);
        await startDaemon(file, state);
        return { detail: `https://${API.ip}:${API.port}`, reader: await ClusterReader.open(file.directory) };
      })
      .then((step) => step.reader);
    await progress.step('agents', () => startAgents(context, reader));
    await progress.step('pods, by kilowire-cni ADD', () => addPods(context));
    const { topology } = await progress.step('mesh', (note) => join(context, reader, laptopKeys, note));
    await progress.step('services', async () => {
      programServices(plan, state.podIPs);
      return {
        detail: `${plan.web.dns} at ${plan.web.ip}, nftables DNAT on the nodes in kube-proxy's place`,
      };
    });
    context.signal.throwIfAborted();
    return topology;
  } finally {
    laptopKeys.privateKey.fill(0);
  }
}
