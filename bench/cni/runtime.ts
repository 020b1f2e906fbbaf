/**
 * Calls plugins as libcni and containerd do: a chain's results go from one to the next, DEL runs backwards with the
 * last result, `loopback` runs beside the chain of the same pod.
 * Source: CNI specification 1.1.0 §3; containerd's go-cni.
 * @module
 */
import { join } from 'node:path';
import type { Entry, Network } from './network.ts';
import type { Node } from './node.ts';
import {
  collect,
  type Ended,
  residentSeconds,
  residentSecondsSince,
  type Started,
  settle,
  start,
  wait,
} from './process.ts';

const version = '1.0.0';

export interface Pod {
  readonly name: string;
  readonly node: Node;
  readonly network: Network;
  readonly hostPort?: number;
}

/** What a call of one or more plugins took. */
export interface Cost {
  readonly milliseconds: number;
  readonly cpuSeconds: number;
}

export class PluginFailure extends Error {}

const idOf = ({ name }: Pod): string => name.padEnd(64, 'f');

export function startPlugin(
  command: string,
  pod: Pod,
  entry: Entry,
  prevResult?: unknown,
  ifname = 'eth0',
  netns = pod.node.pod(pod.name),
): Started {
  const { directory } = pod.node.plugins;
  const portMappings = [{ hostPort: pod.hostPort, containerPort: 80, protocol: 'tcp' }];
  const takesPorts = entry.type === 'portmap' || entry.type === 'kilowire';
  const config = {
    cniVersion: version,
    name: ifname === 'lo' ? 'cni-loopback' : pod.network.name,
    ...entry,
    ...(pod.hostPort !== undefined && takesPorts ? { runtimeConfig: { portMappings } } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
  };
  const environment = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    CNI_COMMAND: command,
    CNI_CONTAINERID: idOf(pod),
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_PATH: directory,
  };
  return start(join(directory, entry.type), [entry.type], environment, JSON.stringify(config));
}

/** The document it printed; throws when it failed. */
function finish(what: string, started: Started, ended: Ended | undefined): unknown {
  const { stdout, stderr } = collect(started);
  if (ended?.code !== 0) throw new PluginFailure(`${what} ended with ${ended?.code}: ${stdout}${stderr}`);
  return stdout.trim() === '' ? undefined : JSON.parse(stdout);
}

class Meter {
  readonly #residents = residentSeconds();
  readonly #began = performance.now();
  #cpuSeconds = 0;

  count(ended: Ended | undefined): Ended | undefined {
    this.#cpuSeconds += ended?.cpuSeconds ?? 0;
    return ended;
  }

  /** What a resident did for the calls is theirs. */
  read(): Cost {
    const milliseconds = performance.now() - this.#began;
    settle();
    return { milliseconds, cpuSeconds: this.#cpuSeconds + residentSecondsSince(this.#residents) };
  }
}

export function add(pod: Pod): Cost & { readonly result: unknown } {
  pod.node.pod(pod.name);
  pod.node.enter();
  settle();
  const meter = new Meter();
  const loopback = pod.network.loopback
    ? startPlugin('ADD', pod, { type: 'loopback' }, undefined, 'lo')
    : undefined;
  let result: unknown;
  for (const entry of pod.network.chain) {
    const started = startPlugin('ADD', pod, entry, result);
    result = finish(`${entry.type} ADD`, started, meter.count(wait(started.pid)));
  }
  if (loopback !== undefined) finish('loopback ADD', loopback, meter.count(wait(loopback.pid)));
  return { ...meter.read(), result };
}

export function del(pod: Pod, result: unknown): Cost {
  pod.node.enter();
  settle();
  const meter = new Meter();
  for (const entry of [...pod.network.chain].reverse()) {
    const started = startPlugin('DEL', pod, entry, result);
    finish(`${entry.type} DEL`, started, meter.count(wait(started.pid)));
  }
  if (pod.network.loopback) {
    const started = startPlugin('DEL', pod, { type: 'loopback' }, undefined, 'lo');
    finish('loopback DEL', started, meter.count(wait(started.pid)));
  }
  return meter.read();
}

/** The first plugin of each pod's chain, all at once. `results` are those of ADD, for DEL. */
export function atOnce(
  command: 'ADD' | 'DEL',
  pods: readonly Pod[],
  results: readonly unknown[] = [],
): Cost & { readonly results: readonly unknown[] } {
  const [first] = pods;
  for (const pod of pods) pod.node.pod(pod.name);
  first?.node.enter();
  settle();
  const meter = new Meter();
  const running = pods.map((pod, index) =>
    startPlugin(command, pod, pod.network.chain[0] as Entry, results[index]),
  );
  const ended = new Map<number, Ended>();
  for (const { pid } of running) {
    const one = meter.count(wait(pid));
    if (one !== undefined) ended.set(pid, one);
  }
  const cost = meter.read();
  return { ...cost, results: running.map((each) => finish(command, each, ended.get(each.pid))) };
}

/** A call that needs no pod: VERSION. */
export function ask(node: Node, command: string, type: string): Cost {
  node.enter();
  settle();
  const meter = new Meter();
  const environment = { CNI_COMMAND: command, CNI_PATH: node.plugins.directory };
  const started = start(
    join(node.plugins.directory, type),
    [type],
    environment,
    `{"cniVersion":"${version}"}`,
  );
  finish(command, started, meter.count(wait(started.pid)));
  return meter.read();
}
