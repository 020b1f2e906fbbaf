/**
 * The node of the kill trials: a network with masquerade and host ports, its pods, and the eyes of other programs (ip,
 * nft, the file system) on what is left.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { residents } from '../../src/cni/resident/place.ts';
import { network } from './network.ts';
import { Node } from './node.ts';
import type { PluginSet } from './plugins.ts';
import { collect, endResidents, isRunning, settle, start, wait } from './process.ts';
import { type Pod, startPlugin } from './runtime.ts';

interface CniResult {
  readonly ips: readonly { readonly address: string }[];
}

export const addressOf = ({ ips }: CniResult): string => ips[0]?.address.split('/')[0] ?? '';

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Whom SIGKILL reaches: the plugin alone, all it started, or the process that answers it. */
export type Reach = 'process' | 'group' | 'resident';

export class TrialNode {
  readonly keeper: CniResult;
  readonly #node: Node;
  readonly #pods: ReadonlyMap<string, Pod>;
  readonly #baseline: readonly string[];
  readonly #results = new Map<string, CniResult>();
  readonly #durations = new Map<string, number>();

  constructor(plugins: PluginSet) {
    this.#node = new Node(plugins, `kwm-kill-${process.pid}`);
    const net = network(plugins, 'host port', '10.78.0.0/24', false);
    const names = ['keeper', 'victim', 'witness'];
    this.#pods = new Map(
      names.map((name, index) => [name, { name, node: this.#node, network: net, hostPort: 30_000 + index }]),
    );
    this.#node.enter();
    this.keeper = this.add('keeper');
    for (let round = 0; round < 5; round += 1) {
      this.add('victim');
      this.del('victim');
    }
    // What the victim's last DEL gave up is still being deleted.
    while (run('ip', '-o', 'link', 'show', 'group', '1802071151') !== '') Atomics.wait(pause, 0, 0, 5);
    this.#baseline = this.#look();
  }

  close(): void {
    endResidents();
    this.#node.remove();
    rmSync(this.#node.plugins.directory, { recursive: true });
  }

  /** Of the last call of the kind that was not killed, ms; with a resident that answers it, or without. */
  duration(verb: 'ADD' | 'DEL'): number {
    return this.#durations.get(this.#kind(verb)) ?? 20;
  }

  /** The next call finds no resident. */
  cool(): void {
    settle();
    endResidents();
  }

  get isWarm(): boolean {
    return residents().length > 0;
  }

  #kind(verb: 'ADD' | 'DEL'): string {
    return `${verb} ${this.isWarm ? 'warm' : 'cold'}`;
  }

  makeVictim(): void {
    this.#node.pod('victim');
  }

  removeVictim(): void {
    this.#node.removePod('victim');
  }

  add(name: string): CniResult {
    const answer = this.#call('ADD', name, this.#node.pod(name));
    if (answer.code !== 0) throw new Error(`ADD of ${name}: ${answer.stdout}`);
    const result = JSON.parse(answer.stdout) as CniResult;
    this.#results.set(name, result);
    return result;
  }

  /** 1 when it failed, 0 when it did not. */
  del(name: string, netns = this.#node.pod(name)): number {
    const answer = this.#call('DEL', name, netns);
    // Runtimes forget the result with the first DEL that succeeded.
    if (answer.code === 0) this.#results.delete(name);
    else console.log(`DEL of ${name}: ${answer.stdout}`);
    return answer.code === 0 ? 0 : 1;
  }

  addAgain(): number {
    const { code, stdout } = this.#call('ADD', 'victim', this.#node.pod('victim'));
    if (code !== 0) console.log(`ADD again: ${stdout}`);
    return code === 0 ? 0 : 1;
  }

  gc(living: readonly string[]): number {
    const valid = living.map((name) => ({ containerID: name.padEnd(64, 'f'), ifname: 'eth0' }));
    const { directory } = this.#node.plugins;
    const pod = this.#pod('victim');
    const config = {
      ...pod.network.chain[0],
      name: pod.network.name,
      cniVersion: '1.1.0',
      'cni.dev/valid-attachments': valid,
    };
    const environment = { CNI_COMMAND: 'GC', CNI_PATH: directory };
    const started = start(`${directory}/kilowire`, ['kilowire'], environment, JSON.stringify(config));
    const ended = wait(started.pid);
    const { stdout } = collect(started);
    if (ended?.code !== 0) console.log(`GC: ${stdout}`);
    this.#results.delete('victim');
    return ended?.code === 0 ? 0 : 1;
  }

  /** Starts the call, kills it `afterMs` later; false when it was faster. */
  kill(verb: 'ADD' | 'DEL', reach: Reach, afterMs: number): boolean {
    const pod = this.#pod('victim');
    const [entry] = pod.network.chain;
    if (entry === undefined) return false;
    const started = startPlugin(verb, pod, entry, verb === 'DEL' ? this.#results.get('victim') : undefined);
    Atomics.wait(pause, 0, 0, afterMs);
    const isInTime = isRunning(started.pid);
    if (reach !== 'resident') process.kill(reach === 'group' ? -started.pid : started.pid, 'SIGKILL');
    else for (const pid of residents()) process.kill(pid, 'SIGKILL');
    const ended = wait(started.pid);
    const { stdout } = collect(started);
    // An ADD that was done has a result, which the runtime then has too.
    if (ended?.code === 0 && verb === 'ADD') this.#results.set('victim', JSON.parse(stdout));
    // A call whose resident is killed goes on by itself.
    return reach === 'resident' ? isInTime : ended?.code === 128 + 9;
  }

  /** IPv4 addresses of the victim's own interface. */
  addressesInside(): readonly string[] {
    const path = this.#node.pod('victim');
    const text = run('nsenter', `--net=${path}`, 'ip', '-4', '-o', 'address', 'show');
    return [...text.matchAll(/inet (\S+)\//g)].map(([, address]) => address ?? '');
  }

  /** What is there now and was not when only the keeper was attached, and what of the keeper is gone. */
  leaks(): readonly string[] {
    let now = this.#look();
    // Links that DEL gave up are deleted after it: without a bridge and a name until then, and only for a moment.
    for (let turn = 0; turn < 100 && now.some((thing) => !this.#baseline.includes(thing)); turn += 1) {
      Atomics.wait(pause, 0, 0, 10);
      now = this.#look();
    }
    return [
      ...now.filter((thing) => !this.#baseline.includes(thing)).map((thing) => `left: ${thing}`),
      ...this.#baseline.filter((thing) => !now.includes(thing)).map((thing) => `gone: ${thing}`),
    ];
  }

  #look(): readonly string[] {
    this.#node.enter();
    const { name } = this.#pod('keeper').network;
    const files = [`/var/lib/cni/networks/${name}`, `/var/lib/cni/kilowire/${name}`].flatMap((folder) =>
      readdirSync(folder)
        .filter((file) => !file.startsWith('last_reserved_ip.'))
        .map((file) => `${folder}/${file}`),
    );
    const links = run('ip', '-o', 'link', 'show').matchAll(/^\d+: ([^:@]+)/gm);
    const rules = run('nft', 'list', 'ruleset').split('\n');
    const inside = run('nsenter', `--net=${this.#node.pod('victim')}`, 'ip', '-o', 'link', 'show');
    return [
      ...files,
      ...[...links].map(([, link]) => `link ${link}`),
      ...rules.map((rule) => `nft ${rule.trim()}`),
      ...[...inside.matchAll(/^\d+: ([^:@]+)/gm)].map(([, link]) => `link ${link} in the victim`),
    ];
  }

  #call(verb: 'ADD' | 'DEL', name: string, netns: string): { code: number; stdout: string } {
    const pod = this.#pod(name);
    const [entry] = pod.network.chain;
    if (entry === undefined) return { code: 1, stdout: '' };
    this.#node.enter();
    const kind = this.#kind(verb);
    const began = performance.now();
    const started = startPlugin(
      verb,
      pod,
      entry,
      verb === 'DEL' && netns !== '' ? this.#results.get(name) : undefined,
      'eth0',
      netns,
    );
    const ended = wait(started.pid);
    if (name === 'victim') this.#durations.set(kind, performance.now() - began);
    return { code: ended?.code ?? 1, stdout: collect(started).stdout };
  }

  #pod(name: string): Pod {
    const pod = this.#pods.get(name);
    if (pod === undefined) throw new RangeError(`there is no pod ${name}`);
    return pod;
  }
}

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
