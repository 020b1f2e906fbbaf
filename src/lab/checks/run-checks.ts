/**
 * What a lab must hold, checked from outside the mesh's own code: with pings, page fetches, a stream, and a capture of
 * everything that passes between the clouds meanwhile.
 * @module
 */
import { ClusterReader } from '../cluster-reader.ts';
import { deviceSocket, readDevice } from '../device-client.ts';
import { findMeshFaults } from '../mesh.ts';
import { type LabPlan, nodesOf, WAN_NETNS } from '../plan.ts';
import { isAlive } from '../processes.ts';
import type { Progress } from '../progress.ts';
import type { CheckResult } from '../report.ts';
import type { LabState } from '../state.ts';
import type { MatrixCell } from '../text-table.ts';
import { greeting } from '../web.ts';
import { WanCapture } from './capture.ts';
import { fetchPage, resolveName } from './http.ts';
import { type PingPair, type PingResult, pingAll } from './ping.ts';
import { measureStream } from './stream.ts';

const PINGS = { count: 3, intervalMs: 150 } as const;
/** A handshake and its retry (REKEY_TIMEOUT 5 s and jitter); where a device is known to be dead, nobody waits that long. */
const PATIENCE_MS = 7000;
const SHORT_PATIENCE_MS = 1500;
/** An agent that has just been told something brings its node there in less. */
const MESH_PATIENCE_MS = 3000;
/** How many culprits a sentence names. */
const NAMED = 3;

export interface CheckContext {
  readonly plan: LabPlan;
  readonly state: LabState;
  readonly runDirectory: string;
  readonly progress: Progress;
  readonly signal: AbortSignal | undefined;
}

export interface Checked {
  readonly checks: readonly CheckResult[];
  readonly matrix: readonly MatrixCell[];
  readonly throughputMbps: number | null;
}

type Finding = Omit<CheckResult, 'name'>;

const some = (items: readonly string[]): string =>
  items.length <= NAMED
    ? items.join(', ')
    : `${items.slice(0, NAMED).join(', ')} and ${items.length - NAMED} more`;

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const podsOf = ({ plan, state }: CheckContext) =>
  nodesOf(plan).flatMap(({ pods }) => pods.map((pod) => ({ ...pod, ip: state.podIPs[pod.name] ?? '' })));

/** The devices and agents that do not run, or do not answer. */
const findDead = async ({ plan, state, runDirectory }: CheckContext): Promise<string[]> => {
  const runs = (role: 'device' | 'agent', name: string): boolean => {
    const found = state.processes.find((each) => each.role === role && each.of === name);
    return found !== undefined && isAlive(found);
  };
  const agents = nodesOf(plan).flatMap(({ name }) =>
    runs('agent', name) ? [] : [`the agent of ${name} does not run`],
  );
  const devices = await Promise.all(
    [...nodesOf(plan), plan.laptop].map(async ({ name }) => {
      if (!runs('device', name)) return [`the device process of ${name} does not run`];
      try {
        await readDevice(deviceSocket(runDirectory, name));
        return [];
      } catch (error) {
        return [`the device of ${name} does not answer (${reason(error)})`];
      }
    }),
  );
  return [...devices.flat(), ...agents];
};

const checkDevices = async (context: CheckContext): Promise<Finding> => {
  const dead = await findDead(context);
  if (dead.length > 0) return { ok: false, detail: dead.join('; ') };
  const { plan, state, runDirectory, signal } = context;
  const nodes = nodesOf(plan);
  const counts = `${nodes.length + 1} devices and ${nodes.length} agents`;
  try {
    const reader = await ClusterReader.open(runDirectory);
    const mesh = { plan, runDirectory, reader, publicKeys: state.publicKeys, signal };
    const faults = await findMeshFaults(mesh, nodes, MESH_PATIENCE_MS);
    if (faults.length === 0) return { ok: true, detail: `${counts}, every node as computed` };
    return { ok: false, detail: `${counts}, but ${some(faults.map(({ node, why }) => `${node}: ${why}`))}` };
  } catch (error) {
    signal?.throwIfAborted();
    return { ok: false, detail: `${counts}, but ${reason(error)}` };
  }
};

const summarize = (results: readonly PingResult[]): Finding => {
  const sent = results.reduce((sum, result) => sum + result.sent, 0);
  const received = results.reduce((sum, result) => sum + result.received, 0);
  const lossy = results.filter((result) => result.received < result.sent);
  const counts = `${results.length} pairs, ${sent} pings, ${sent - received} lost`;
  if (lossy.length === 0) return { ok: results.length > 0, detail: counts };
  const pairs = lossy.map(({ from, to, sent, received }) => `${from} to ${to} ${received} of ${sent}`);
  return { ok: false, detail: `${counts}: ${some(pairs)}` };
};

const pingPods = (context: CheckContext, patienceMs: number): Promise<PingResult[]> => {
  const pods = podsOf(context);
  const pairs = pods.flatMap((from) =>
    pods
      .filter((to) => to.name !== from.name)
      .map((to): PingPair => ({ from: from.name, netns: from.netns, to: to.name, ip: to.ip })),
  );
  return pingAll(pairs, { ...PINGS, patienceMs, signal: context.signal });
};

const pingFromLaptop = (context: CheckContext, patienceMs: number): Promise<PingResult[]> => {
  const { name, netns } = context.plan.laptop;
  const pairs = podsOf(context).map((to): PingPair => ({ from: name, netns, to: to.name, ip: to.ip }));
  return pingAll(pairs, { ...PINGS, patienceMs, signal: context.signal });
};

const fetchService = async ({ plan }: CheckContext, ip: string): Promise<Finding> => {
  const { web, laptop } = plan;
  try {
    const page = await fetchPage(laptop.netns, ip, web.port, web.dns);
    const ok = page.startsWith(greeting(web.pod.name));
    return {
      ok,
      detail: ok ? `${web.pod.name} answered at ${ip}:${web.port}` : `another server answered at ${ip}`,
    };
  } catch (error) {
    return { ok: false, detail: `no page from ${ip}:${web.port}: ${reason(error)}` };
  }
};

const fetchServiceByName = async (context: CheckContext): Promise<Finding> => {
  const { web, dns, laptop } = context.plan;
  const ip = await resolveName(laptop.netns, dns.ip, dns.port, web.dns);
  if (ip === null) return { ok: false, detail: `the resolver at ${dns.ip} has no address for ${web.dns}` };
  if (ip !== web.ip) return { ok: false, detail: `${web.dns} is ${web.ip}, but resolves to ${ip}` };
  const finding = await fetchService(context, ip);
  return { ...finding, detail: `${web.dns}: ${finding.detail}` };
};

const measure = async (context: CheckContext): Promise<Finding & { readonly mbps: number | null }> => {
  const pods = podsOf(context);
  const from = pods.find(({ name }) => name.startsWith('aws-'));
  const to = pods.find(({ name }) => name.startsWith('aliyun-'));
  if (from === undefined || to === undefined) return { ok: false, detail: 'a pod is missing', mbps: null };
  try {
    const mbps = await measureStream(from, to, context.signal);
    return { ok: mbps > 0, detail: `${from.name} to ${to.name}, ${Math.round(mbps)} Mbit/s`, mbps };
  } catch (error) {
    context.signal?.throwIfAborted();
    return { ok: false, detail: `${from.name} to ${to.name}: ${reason(error)}`, mbps: null };
  }
};

const judgeCapture = (capture: WanCapture): Finding => {
  const { wireguard, plaintext, examples } = capture.finish();
  const counts = `${wireguard} WireGuard packets, ${plaintext} plaintext packets`;
  if (plaintext > 0) return { ok: false, detail: `${counts}: ${some(examples)}` };
  return {
    ok: wireguard > 0,
    detail: wireguard > 0 ? counts : `${counts}: nothing passed between the clouds`,
  };
};

/** Runs all checks in turn; one that fails does not stop the others. */
export async function runChecks(context: CheckContext): Promise<Checked> {
  const { progress } = context;
  const checks: CheckResult[] = [];
  let matrix: readonly PingResult[] = [];
  const check = async <T extends Finding>(
    name: string,
    title: string,
    work: () => Promise<T>,
  ): Promise<T> => {
    context.signal?.throwIfAborted();
    const finding = await progress.step(title, work);
    checks.push({ name, ok: finding.ok, detail: finding.detail });
    return finding;
  };

  const capture = new WanCapture(WAN_NETNS);
  try {
    const devices = await check('devices', 'every agent runs, every WireGuard device answers', () =>
      checkDevices(context),
    );
    const patience = devices.ok ? PATIENCE_MS : SHORT_PATIENCE_MS;
    await check('pod-to-pod', 'every pod pings every other pod', async () => {
      matrix = await pingPods(context, patience);
      return summarize(matrix);
    });
    await check('laptop-to-pod', 'the laptop pings every pod', async () =>
      summarize(await pingFromLaptop(context, patience)),
    );
    await check('service-by-address', 'the laptop reaches the service by address', () =>
      fetchService(context, context.plan.web.ip),
    );
    await check('service-by-name', 'the laptop reaches the service by name', () =>
      fetchServiceByName(context),
    );
    const { mbps } = await check('throughput', 'a TCP stream from aws to aliyun', () => measure(context));
    await check('wan-encrypted', 'nothing but WireGuard passed between clouds', async () =>
      judgeCapture(capture),
    );
    return { checks, matrix, throughputMbps: mbps === null ? null : Math.round(mbps) };
  } finally {
    capture.close();
  }
}
