/**
 * Leaders of the location two of an AgentWorld (b leads, c can take over), taken away while pods talk.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentWorld, NODES } from './agent-world.ts';
import { until } from './host.ts';

const PATIENCE_MS = 30_000;
const PING_MS = 50;

interface SegmentState {
  readonly leader: string;
  readonly why: string;
}

export class LeaderWorld extends AgentWorld {
  static async start(): Promise<LeaderWorld> {
    const world = new LeaderWorld('kwfo');
    await world.startApi();
    for (const { name } of NODES) world.startAgent(name);
    await world.meshed();
    return world;
  }

  /** An annotation of ours. */
  own(node: string, name: string): string {
    return this.api.store.get('nodes', node)?.metadata.annotations?.[`kilowire.dev/${name}`] ?? '';
  }

  /** Who has never been answered misses nobody. */
  async watched(...by: readonly string[]): Promise<void> {
    const enough = await Promise.all(by.map(async (name) => (await this.#answered(name)) + 3));
    const deadline = Date.now() + PATIENCE_MS;
    for (const [index, name] of by.entries()) {
      while ((await this.#answered(name)) < (enough[index] ?? 0)) {
        if (Date.now() > deadline) throw new Error(`${name} is not answered: ${this.log(name)}`);
        await sleep(100);
      }
    }
  }

  async #answered(name: string): Promise<number> {
    const text = await this.ask(name, '/metrics');
    return Number(/^kilowire_leader_probes_total\{outcome="answered"\} (\d+)/m.exec(text)?.[1] ?? 0);
  }

  claimed(by: string, claim: RegExp): Promise<void> {
    return until(`${by} to lead`, () => claim.test(this.own(by, 'leads')), PATIENCE_MS);
  }

  reached(...pairs: readonly (readonly [string, string])[]): Promise<void> {
    return until(
      'pods to be reached',
      () => pairs.every(([from, to]) => this.reaches(from, to)),
      PATIENCE_MS,
    );
  }

  steppedBack(name: string): Promise<void> {
    return until(`${name} to step back`, () => this.annotation(name, 'wireguard-ip') === '', PATIENCE_MS);
  }

  /** What a node's agent says of the location two. */
  async two(seenBy: string): Promise<SegmentState | undefined> {
    const { segments } = JSON.parse(await this.ask(seenBy, '/status')) as { segments: SegmentState[] };
    return segments[1];
  }

  unplug(name: string): void {
    this.host(name).ip('link', 'set', 'eth0', 'down');
  }

  plugIn(name: string): void {
    this.host(name).ip('link', 'set', 'eth0', 'up');
    this.host(name).ip('route', 'replace', 'default', 'via', '10.9.2.1');
  }

  /** For how many milliseconds pods do not hear each other while something is done, until they do. */
  async gap(from: string, to: string, work: () => Promise<void> | void): Promise<number> {
    const lost = this.pinging(from, to);
    await sleep(500);
    await work();
    await this.reached([from, to]);
    await sleep(500);
    return (await lost()) * PING_MS;
  }
}
