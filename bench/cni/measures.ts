/**
 * What is measured of a set of plugins. Each measure takes its turn on every set, call by call where calls are single,
 * so that a machine that drifts does so for all.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Quantity } from '../report.ts';
import { median } from '../statistics.ts';
import { type Measure, networks, onNodes, quantity, writeSubnetFile } from './measure.ts';
import { peakMemory } from './memory.ts';
import type { Kind, Network } from './network.ts';
import type { Node } from './node.ts';
import { endResidents } from './process.ts';
import { add, ask, atOnce, type Cost, del, type Pod } from './runtime.ts';

function sequential(
  id: string,
  kind: Kind,
  adding: Quantity,
  deleting: Quantity,
  computing: Quantity,
  prepare: (nodes: readonly Node[], networks: readonly Network[]) => void = () => {},
): Measure {
  return {
    id,
    quantities: [adding, deleting, computing],
    run: (sets, count) =>
      onNodes(sets, (nodes) => {
        const nets = networks(nodes, kind);
        const podOf = (index: number, number: number): Pod => ({
          name: `p${number}`,
          node: nodes[index] as Node,
          network: nets[index] as Network,
          ...(kind === 'host port' ? { hostPort: 20_000 + number } : {}),
        });
        writeSubnetFile();
        // Warms the page cache, makes the bridge.
        for (const index of nodes.keys()) del(podOf(index, 9999), add(podOf(index, 9999)).result);
        prepare(nodes, nets);
        const adds = nodes.map((): number[] => []);
        const cpus = nodes.map((): number[] => []);
        const dels = nodes.map((): number[] => []);
        const results = nodes.map((): unknown[] => []);
        const turns = (number: number): number[] =>
          [...nodes.keys()].map((index) => (index + number) % nodes.length);
        for (let number = 0; number < count; number += 1) {
          for (const index of turns(number)) {
            const { milliseconds, cpuSeconds, result } = add(podOf(index, number));
            adds[index]?.push(milliseconds);
            cpus[index]?.push(cpuSeconds * 1000);
            results[index]?.push(result);
          }
        }
        for (let number = 0; number < count; number += 1) {
          for (const index of turns(number))
            dels[index]?.push(del(podOf(index, number), results[index]?.[number]).milliseconds);
        }
        return new Map([
          [adding, adds.map(median)],
          [deleting, dels.map(median)],
          // Of a machine that others use too, this drifts less than the time on the clock.
          [computing, cpus.map(median)],
        ]);
      }),
  };
}

function parallel(
  id: string,
  kind: Kind,
  adding: Quantity,
  { cpu, isCold = false }: { readonly cpu?: Quantity; readonly isCold?: boolean } = {},
): Measure {
  const pods = 100;
  return {
    id,
    quantities: [adding, ...(cpu === undefined ? [] : [cpu])],
    run: (sets) =>
      onNodes(sets, (nodes) => {
        const nets = networks(nodes, kind);
        const costs = nodes.map((node, index): { added: Cost; deleted: Cost } => {
          const all = Array.from({ length: pods }, (_, number) => ({
            name: `p${number}`,
            node,
            network: nets[index] as Network,
          }));
          const [warm] = all;
          if (warm !== undefined) del(warm, add(warm).result);
          if (isCold) endResidents();
          const added = atOnce('ADD', all);
          expectDistinct(added.results);
          const deleted = atOnce('DEL', all, added.results);
          return { added, deleted };
        });
        const figures = new Map([[adding, costs.map(({ added }) => added.milliseconds)]]);
        if (cpu !== undefined)
          figures.set(
            cpu,
            costs.map(({ added, deleted }) => added.cpuSeconds + deleted.cpuSeconds),
          );
        return figures;
      }),
  };
}

function expectDistinct(results: readonly unknown[]): void {
  const addresses = results.map((result) => (result as { ips: { address: string }[] }).ips[0]?.address);
  if (new Set(addresses).size !== results.length) throw new Error('an address was handed out twice');
}

/** As many pods as a node may have had: a lease of each, and the record of each of ours. */
function holdLeases(nodes: readonly Node[], nets: readonly Network[]): void {
  const many = 20_000;
  nodes.forEach((node, index) => {
    const net = nets[index] as Network;
    const leases = `/var/lib/cni/networks/${net.name}`;
    const pod = { name: 'model', node, network: net };
    const { result } = add(pod);
    const state = `/var/lib/cni/kilowire/${net.name}`;
    const record =
      node.plugins.family === 'kilowire'
        ? readdirSync(state).find((file) => file.endsWith('.json'))
        : undefined;
    const text = record === undefined ? '' : readFileSync(`${state}/${record}`, 'utf8');
    for (let number = 0; number < many; number += 1) {
      const id = `held${number}`.padEnd(64, 'f');
      const address = `10.77.${100 + (number >> 8)}.${number & 0xff}`;
      writeFileSync(`${leases}/${address}`, `${id}\r\neth0`);
      if (record !== undefined) writeFileSync(`${state}/${id}:eth0.json`, text.replaceAll(/modelf+/g, id));
    }
    del(pod, result);
  });
}

const versionTime = quantity('version', 'VERSION', 'ms');
const version: Measure = {
  id: 'version',
  quantities: [versionTime],
  run: (sets, count) =>
    onNodes(sets, (nodes) => {
      const times = nodes.map((): number[] => []);
      const nets = networks(nodes, 'plain');
      nodes.forEach((node, index) => {
        const pod = { name: 'first', node, network: nets[index] as Network };
        del(pod, add(pod).result);
        ask(node, 'VERSION', typeOf(node));
      });
      for (let number = 0; number < count; number += 1) {
        nodes.forEach((node, index) => {
          times[index]?.push(ask(node, 'VERSION', typeOf(node)).milliseconds);
        });
      }
      return new Map([[versionTime, times.map(median)]]);
    }),
};

const typeOf = ({ plugins }: Node): string => (plugins.family === 'kilowire' ? 'kilowire' : 'bridge');

/** The first call on a node where nothing has happened for a while. */
function cold(id: string, kind: Kind, adding: Quantity, asking?: Quantity): Measure {
  return {
    id,
    quantities: [adding, ...(asking === undefined ? [] : [asking])],
    run: (sets, count) =>
      onNodes(sets, (nodes) => {
        const nets = networks(nodes, kind);
        writeSubnetFile();
        const adds = nodes.map((): number[] => []);
        const versions = nodes.map((): number[] => []);
        for (let number = 0; number <= count; number += 1) {
          nodes.forEach((node, index) => {
            const pod = { name: `p${number}`, node, network: nets[index] as Network };
            endResidents();
            if (asking !== undefined) versions[index]?.push(ask(node, 'VERSION', typeOf(node)).milliseconds);
            const { milliseconds, result } = add(pod);
            // The first one warms the page cache and makes the bridge.
            if (number > 0) adds[index]?.push(milliseconds);
            del(pod, result);
          });
        }
        const figures = new Map([[adding, adds.map(median)]]);
        if (asking !== undefined) figures.set(asking, versions.map(median));
        return figures;
      }),
  };
}

const memory = quantity('memory', 'peak memory of 50 ADDs at once', 'MiB');
const peak: Measure = {
  id: 'memory',
  quantities: [memory],
  run: (sets) =>
    onNodes(sets, (nodes) => {
      const nets = networks(nodes, 'plain');
      const peaks = nodes.map((node, index) => {
        const pods = Array.from({ length: 50 }, (_, number) => ({
          name: `p${number}`,
          node,
          network: nets[index] as Network,
        }));
        let results: readonly unknown[] = [];
        atOnce('DEL', pods, atOnce('ADD', pods).results);
        const most = peakMemory(() => {
          results = atOnce('ADD', pods).results;
        });
        atOnce('DEL', pods, results);
        return most;
      });
      return new Map([[memory, peaks]]);
    }),
};

const children = quantity('children', 'child processes of one ADD', '', 0, 0);
/** execve(2) calls that strace sees, but for the plugin's own. */
const processes: Measure = {
  id: 'children',
  quantities: [children],
  run: (sets) =>
    onNodes(sets, (nodes) => {
      const nets = networks(nodes, 'plain');
      const counts = nodes.map((node, index) => {
        const folder = mkdtempSync(join(tmpdir(), 'kwm-strace-'));
        const [entry] = (nets[index] as Network).chain;
        const type = entry?.type ?? '';
        node.enter();
        const { status, stdout } = spawnSync(
          'strace',
          ['-f', '-qq', '-e', 'trace=execve', '-o', `${folder}/log`, join(node.plugins.directory, type)],
          {
            // strace waits for the resident too, which the others ignore.
            input: JSON.stringify({ cniVersion: '1.0.0', name: nets[index]?.name, ...entry, resident: 1 }),
            encoding: 'utf8',
            env: {
              PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
              CNI_COMMAND: 'ADD',
              CNI_CONTAINERID: 'traced',
              CNI_NETNS: node.pod('traced'),
              CNI_IFNAME: 'eth0',
              CNI_PATH: node.plugins.directory,
            },
          },
        );
        if (status !== 0) throw new Error(`under strace: ${stdout}`);
        const calls = readFileSync(`${folder}/log`, 'utf8').match(/execve\(.*= 0$/gm) ?? [];
        rmSync(folder, { recursive: true });
        return calls.length - 1;
      });
      return new Map([[children, counts]]);
    }),
};

export const catalogue: readonly Measure[] = [
  version,
  sequential(
    'plain',
    'plain',
    quantity('add', 'ADD, no masquerade', 'ms', 1.15, 1),
    quantity('del', 'DEL, no masquerade', 'ms', 0.6, 0.3),
    quantity('cpu-add', 'CPU of one ADD, no masquerade', 'ms'),
  ),
  sequential(
    'masquerade',
    'masquerade',
    quantity('add-masq', 'ADD with masquerade', 'ms', 0.5, 0.35),
    quantity('del-masq', 'DEL with masquerade', 'ms', 0.3, 0.15),
    quantity('cpu-masq', 'CPU of one ADD with masquerade', 'ms'),
  ),
  sequential(
    'port',
    'host port',
    quantity('add-port', 'ADD with masquerade and a host port', 'ms', 0.3, 0.2),
    quantity('del-port', 'DEL with masquerade and a host port', 'ms', 0.3, 0.15),
    quantity('cpu-port', 'CPU of one ADD with masquerade and a host port', 'ms'),
  ),
  sequential(
    'k3s',
    'k3s',
    quantity('add-k3s', 'a whole pod as in k3s: ADD', 'ms', 0.5, 0.35),
    quantity('del-k3s', 'a whole pod as in k3s: DEL', 'ms'),
    quantity('cpu-k3s', 'CPU of one ADD as in k3s', 'ms'),
  ),
  parallel('parallel', 'plain', quantity('add-100', '100 ADDs at once, no masquerade', 'ms', 1, 0.7), {
    cpu: quantity('cpu', 'CPU of 100 pods, ADD and DEL', 's', 1.2, 1),
  }),
  parallel(
    'parallel-masquerade',
    'masquerade',
    quantity('add-100-masq', '100 ADDs at once, masquerade', 'ms', 0.3, 0.2),
  ),
  sequential(
    'leases',
    'plain',
    quantity('add-20k', 'ADD with 20,000 leases held', 'ms', 0.1),
    quantity('del-20k', 'DEL with 20,000 leases held', 'ms'),
    quantity('cpu-20k', 'CPU of one ADD with 20,000 leases held', 'ms'),
    holdLeases,
  ),
  cold(
    'cold',
    'plain',
    quantity('add-cold', 'ADD, no masquerade, no resident', 'ms'),
    quantity('version-cold', 'VERSION, no resident', 'ms'),
  ),
  parallel('parallel-cold', 'plain', quantity('add-100-cold', '100 ADDs at once, no resident', 'ms'), {
    isCold: true,
  }),
  cold('cold-k3s', 'k3s', quantity('add-k3s-cold', 'a whole pod as in k3s: ADD, no resident', 'ms')),
  peak,
  processes,
];
