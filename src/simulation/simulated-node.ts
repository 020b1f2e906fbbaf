/**
 * One node of a simulated cluster: its host, and the real agent on it, which may be killed and started again.
 * @module
 */
import { Agent } from '../agent/agent.ts';
import { publicKeyOf } from '../agent/key-file.ts';
import { Log } from '../agent/log.ts';
import { type AgentFlags, agentOptions, DEFAULT_FLAGS } from '../agent/options.ts';
import type { Address } from '../noise/ip.ts';
import type { Chance } from './chance.ts';
import type { Absence, SimulatedApi, SimulatedClient } from './simulated-api.ts';
import type { SimulatedHost } from './simulated-host.ts';
import type { VirtualTime } from './virtual-time.ts';

/** An agent looks at what the kernel told this often. */
const KERNEL_LOOK_MS = 250;

export interface SimulatedNodeOptions {
  readonly name: string;
  readonly flags: Partial<AgentFlags>;
  readonly time: VirtualTime;
  readonly api: SimulatedApi;
  readonly host: SimulatedHost;
  readonly chance: Chance;
  /** A secret of no worth. */
  readonly privateKey: Uint8Array;
  readonly resolve: (name: string) => Promise<Address>;
  readonly onLog?: (line: string) => void;
}

export class SimulatedNode {
  readonly name: string;
  readonly host: SimulatedHost;
  readonly publicKey: string;
  /** Milliseconds its clock is ahead. */
  skew = 0;
  readonly #options: SimulatedNodeOptions;
  #client: SimulatedClient | null = null;
  #end: AbortController | null = null;
  #absence: Absence = null;
  #delayMs: number;
  /** What made a run of its agent end by itself. */
  crash: unknown = null;

  constructor(options: SimulatedNodeOptions) {
    this.#options = options;
    this.name = options.name;
    this.host = options.host;
    this.publicKey = publicKeyOf(options.privateKey);
    this.#delayMs = options.chance.between(20, 400);
  }

  get isRunning(): boolean {
    return this.#end !== null;
  }

  /** Whether the API is there for it. */
  set absence(absence: Absence) {
    this.#absence = absence;
    if (this.#client !== null) this.#client.absence = absence;
  }

  get absence(): Absence {
    return this.#absence;
  }

  /** How late its watches hear. */
  set delayMs(ms: number) {
    this.#delayMs = ms;
    if (this.#client !== null) this.#client.delayMs = ms;
  }

  breakStreams(): void {
    this.#client?.breakStreams();
  }

  /** Starts its agent, on the host as it is. */
  start(): void {
    if (this.#end !== null) return;
    const { name, flags, time, api, host, chance, privateKey, resolve, onLog } = this.#options;
    const client = api.client(chance.child(), this.#delayMs);
    client.absence = this.#absence;
    this.#client = client;
    const random = chance.child();
    let isAlive = true;
    const options = agentOptions({ ...DEFAULT_FLAGS, cni: false, hostname: name, ...flags });
    const log = new Log(onLog === undefined ? 'none' : 'all', (line) => onLog?.(`${name} ${line}`));
    const end = new AbortController();
    const agent = new Agent({ options, log, version: 'simulated' }, () => ({
      clock: time.clock(() => this.skew),
      random: random.next,
      client,
      key: { privateKey: Uint8Array.from(privateKey), publicKey: this.publicKey, found: true },
      links: host.links,
      device: host.device,
      host: {
        // A process that was killed does nothing any more, whatever it was about to.
        apply: async (...pass) => (isAlive ? host.host.apply(...pass) : []),
        remove: async (topology) => (isAlive ? host.host.remove(topology) : []),
      },
      ofHostname: async () => [],
      resolve,
      watchKernel: (_links, onChange) => {
        host.onChange = () => void time.at(time.now + KERNEL_LOOK_MS, onChange);
        return { ignoreSoFar: () => {}, close: () => {} };
      },
      serve: async () => async () => {},
      close: () => client.close(),
    }));
    this.#end = end;
    this.#kill = () => {
      isAlive = false;
      client.absence = 'refuses';
      client.close();
    };
    agent.run(end.signal).catch((error: unknown) => {
      this.crash = error;
    });
  }

  #kill: () => void = () => {};

  /** Power off: the agent says nothing more. */
  kill(): void {
    this.#kill();
    this.#end?.abort();
    this.#end = null;
    this.#client = null;
  }

  /** SIGTERM: the agent takes away what is its own. */
  async stop(): Promise<void> {
    this.#end?.abort();
    this.#end = null;
    await this.#options.time.pass(1000);
    this.#client = null;
  }
}
