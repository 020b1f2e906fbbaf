/**
 * The node of the power cuts: a network with room for five pods, and calls that answer with what they complain of.
 * @module
 */
import { join } from 'node:path';
import { network } from './network.ts';
import { Node } from './node.ts';
import type { PluginSet } from './plugins.ts';
import { collect, start, wait } from './process.ts';

const idOf = (name: string): string => name.padEnd(64, 'f');

let count = 0;

export class PowerCutNode {
  static readonly network = 'lab';
  readonly program: string;
  readonly #node: Node;
  readonly #directory: string;

  constructor(plugins: PluginSet) {
    count += 1;
    this.#node = new Node(plugins, `kwm-cut-${process.pid}-${count}`);
    this.#directory = plugins.directory;
    this.program = join(plugins.directory, 'kilowire');
    this.#node.enter();
  }

  remove(): void {
    this.#node.remove();
  }

  config(more: object = {}): string {
    const { chain } = network(this.#node.plugins, 'masquerade', '10.79.0.0/29', false);
    // A power cut takes a resident along too; what is stopped here is a process of its own.
    const own = { name: PowerCutNode.network, cniVersion: '1.1.0', resident: 0 };
    return JSON.stringify({ ...chain[0], ...own, ...more });
  }

  environment(verb: string, name: string, netns = this.#node.pod(name)): Record<string, string> {
    return {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_COMMAND: verb,
      CNI_CONTAINERID: idOf(name),
      CNI_NETNS: netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: this.#directory,
    };
  }

  call(verb: string, name: string, netns?: string, addresses: string[] = [], more: object = {}): string[] {
    const started = start(this.program, ['kilowire'], this.environment(verb, name, netns), this.config(more));
    const ended = wait(started.pid);
    const { stdout } = collect(started);
    if (ended?.code !== 0) return [`${verb} of ${name}: ${stdout}`];
    if (verb === 'ADD') addresses.push(JSON.parse(stdout).ips[0].address);
    return [];
  }

  gc(): string[] {
    return this.call('GC', 'nobody', '', [], { 'cni.dev/valid-attachments': [] });
  }

  /** As many pods as the network has room for, and away with them. */
  fill(): string[] {
    const names = ['n1', 'n2', 'n3', 'n4', 'n5'];
    const addresses: string[] = [];
    const complaints = names.flatMap((name) => this.call('ADD', name, undefined, addresses));
    if (new Set(addresses).size !== addresses.length) complaints.push('an address was given twice');
    return [...complaints, ...names.flatMap((name) => this.call('DEL', name))];
  }
}
