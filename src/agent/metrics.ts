/**
 * Counters and gauges in Prometheus' text format: Kilo's own names, and ours beside them.
 * Source: Prometheus exposition format 0.0.4; Kilo's metrics.
 * @module
 */

import { readdirSync, readFileSync } from 'node:fs';
import type { Topology } from '../routing/topology.ts';
import type { Fault } from './faults.ts';
import type { PodCounts } from './host/pod-guard.ts';

/** Of x86-64, and of arm64 as distributions build it. */
const PAGE = 4096;

type Labels = Readonly<Record<string, string>>;

interface Metric {
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: Map<string, number>;
}

const escaped = (text: string): string =>
  text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');

const labelText = (labels: Labels): string => {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
};

export class Metrics {
  readonly #metrics = new Map<string, Metric>();

  /** A counter shows from its first event on; `zero` shows it before. */
  counter(name: string, help: string, zero = false): (labels?: Labels, by?: number) => void {
    const metric = this.#define(name, 'counter', help);
    if (zero) metric.samples.set('', 0);
    return (labels = {}, by = 1) => {
      const key = labelText(labels);
      metric.samples.set(key, (metric.samples.get(key) ?? 0) + by);
    };
  }

  /** @param kind `counter`: somebody else counts, and it is read off. */
  gauge(
    name: string,
    help: string,
    kind: Metric['kind'] = 'gauge',
  ): (value: number, labels?: Labels) => void {
    const metric = this.#define(name, kind, help);
    return (value, labels = {}) => {
      metric.samples.set(labelText(labels), value);
    };
  }

  /** A gauge whose label values come and go: set all at once. */
  gaugeFamily(name: string, help: string): (samples: readonly (readonly [Labels, number])[]) => void {
    const metric = this.#define(name, 'gauge', help);
    return (samples) => {
      metric.samples.clear();
      for (const [labels, value] of samples) metric.samples.set(labelText(labels), value);
    };
  }

  #define(name: string, kind: Metric['kind'], help: string): Metric {
    const metric: Metric = { kind, help, samples: new Map() };
    this.#metrics.set(name, metric);
    return metric;
  }

  toString(): string {
    const lines: string[] = [];
    for (const [name, { kind, help, samples }] of this.#metrics) {
      if (samples.size === 0) continue;
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
      for (const [labels, value] of samples) lines.push(`${name}${labels} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

/** The first number of statm is in pages. */
const virtualMemory = (): number => {
  const pages = Number(readFileSync('/proc/self/statm', 'latin1').split(' ')[0]);
  return pages * PAGE;
};

const openFiles = (): number => readdirSync('/proc/self/fd').length;

/** What an agent counts. */
export class AgentMetrics {
  readonly #all = new Metrics();
  readonly error = this.#all.counter(
    'kilo_errors_total',
    'Number of errors that occurred while administering the mesh.',
  );
  readonly leader = this.#all.gauge('kilo_leader', 'Leadership status of the node.');
  readonly nodes = this.#all.gauge('kilo_nodes', 'Number of nodes in the mesh.');
  readonly peers = this.#all.gauge('kilo_peers', 'Number of peers in the mesh.');
  readonly reconcile = this.#all.counter('kilo_reconciles_total', 'Number of reconciliation attempts.', true);
  readonly #iptables = this.#all.counter('kilo_iptables_operations_total', 'Number of iptables operations.');
  readonly changes = this.#all.counter(
    'kilowire_changes_total',
    'Changes made to the host, by what was changed.',
  );
  readonly problems = this.#all.gaugeFamily(
    'kilowire_problems',
    'What is wrong at this moment (1 for each): what it is, and with which node, peer, segment or host.',
  );
  readonly apiSilence = this.#all.gauge(
    'kilowire_api_silence_seconds',
    'Time since the Kubernetes API last said something.',
  );
  readonly takeovers = this.#all.counter(
    'kilowire_leader_takeovers_total',
    'How often this node took the lead of its location, by why: silent, grey, first.',
  );
  readonly failingLeaders = this.#all.gauge(
    'kilowire_failing_leaders',
    'Leaders of other locations that this node finds failing.',
  );
  readonly probes = this.#all.counter(
    'kilowire_leader_probes_total',
    'Echo requests by which leaders are watched, by outcome: sent, answered.',
  );
  readonly #unencrypted = this.#all.gauge(
    'kilowire_unencrypted_packets_total',
    'Packets from pods of this node to pods of others that left it without a tunnel, by where: location, outside.',
    'counter',
  );
  readonly #spoofed = this.#all.gauge(
    'kilowire_spoofed_packets_total',
    'Packets dropped because they came with the address of a pod that is elsewhere.',
    'counter',
  );
  readonly memory = this.#all.gauge('process_resident_memory_bytes', 'Resident memory size in bytes.');
  readonly cpu = this.#all.gauge(
    'process_cpu_seconds_total',
    'Total user and system CPU time spent in seconds.',
    'counter',
  );
  readonly virtualMemory = this.#all.gauge('process_virtual_memory_bytes', 'Virtual memory size in bytes.');
  readonly startTime = this.#all.gauge(
    'process_start_time_seconds',
    'Start time of the process since unix epoch in seconds.',
  );
  readonly openFiles = this.#all.gauge('process_open_fds', 'Number of open file descriptors.');

  faults(faults: readonly Fault[]): void {
    this.problems(faults.map(({ code, subject: { kind, name } }) => [{ code, kind, object: name }, 1]));
  }

  /** Answers the names of the nodes in it. */
  mesh({ isLeader, segments, peers }: Topology): ReadonlySet<string> {
    const names = new Set(segments.flatMap(({ members }) => members.map(({ name }) => name)));
    this.leader(isLeader ? 1 : 0);
    this.nodes(names.size);
    this.peers(peers.length);
    return names;
  }

  pods({ location, outside, spoofed }: PodCounts): void {
    this.#unencrypted(location, { where: 'location' });
    this.#unencrypted(outside, { where: 'outside' });
    this.#spoofed(spoofed);
  }

  /** Of all tables and chains at once, which Kilo's labels have a word for. */
  iptables({ operation = '', protocol = '' }: Labels): void {
    this.#iptables({ chain: '*', operation, protocol, table: '*' });
  }

  toString(): string {
    this.memory(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    this.cpu((user + system) / 1e6);
    this.startTime(Math.floor(performance.timeOrigin / 1000));
    this.virtualMemory(virtualMemory());
    this.openFiles(openFiles());
    return this.#all.toString();
  }
}
