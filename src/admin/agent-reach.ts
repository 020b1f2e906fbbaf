/**
 * How the agents of other nodes are asked: at their private addresses from a host that is in the mesh, through the API server
 * from one that is not. Which it is shows by whether anybody answers, and may change: a laptop joins and leaves.
 * @module
 */
import type { AgentProxy } from './agent-proxy.ts';
import { type AgentReport, askAgent } from './tunnels.ts';

export interface AskedAgent {
  readonly node: string;
  /** `http://10.0.0.1:1107`; null: it has no address. */
  readonly origin: string | null;
}

export interface AgentAnswer {
  readonly node: string;
  /** Null: it did not answer. */
  readonly report: AgentReport | null;
}

/** Not all at once: a large cluster has more nodes than this host has sockets, and its API other work. */
const DIRECTLY_AT_ONCE = 256;
const BY_API_AT_ONCE = 16;
/** From outside the mesh none of them answers, and each takes two seconds to say so. */
const SCOUTS = 8;
const SCOUT_AGAIN_MS = 60_000;

export class AgentReach {
  readonly #proxy: AgentProxy | null;
  #way: 'unknown' | 'direct' | 'api' = 'unknown';
  #scoutedAt = 0;

  /** Without a proxy they are asked directly only. */
  constructor(proxy: AgentProxy | null) {
    this.#proxy = proxy;
  }

  get isByApi(): boolean {
    return this.#way === 'api';
  }

  /** Why nobody answers, as a sentence, where it is that the API server may not ask for us. */
  get refusal(): string | null {
    return this.#way === 'unknown' ? (this.#proxy?.refusal ?? null) : null;
  }

  /** `isInside`: this host has a device of the mesh, or an agent. `port`: theirs. `now`: Unix seconds. */
  async ask(
    agents: readonly AskedAgent[],
    { isInside, port, now }: { readonly isInside: boolean; readonly port: number; readonly now: number },
  ): Promise<readonly AgentAnswer[]> {
    const proxy = this.#proxy;
    if (proxy === null || isInside) {
      this.#way = 'direct';
      return await askAll(agents, DIRECTLY_AT_ONCE, (agent) => directly(agent, now));
    }
    const byApi = (): Promise<readonly AgentAnswer[]> =>
      askAll(agents, BY_API_AT_ONCE, async ({ node }) => ({
        node,
        report: await proxy.ask(node, port, now),
      }));
    if (this.#way === 'api') {
      const [answers, isNear] = await Promise.all([
        byApi(),
        this.#isTimeToScout() && this.#scout(agents, now),
      ]);
      this.#way = isNear ? 'direct' : isAny(answers) ? 'api' : 'unknown';
      return answers;
    }
    if (this.#way === 'unknown' && !(await this.#scout(agents, now))) {
      const answers = await byApi();
      if (isAny(answers)) this.#way = 'api';
      return answers;
    }
    const answers = await askAll(agents, DIRECTLY_AT_ONCE, (agent) => directly(agent, now));
    this.#way = isAny(answers) ? 'direct' : 'unknown';
    return answers;
  }

  /** Whether anybody answers directly. */
  async #scout(agents: readonly AskedAgent[], now: number): Promise<boolean> {
    this.#scoutedAt = performance.now();
    const step = Math.max(1, Math.floor(agents.length / SCOUTS));
    const scouted = agents.filter((_, index) => index % step === 0).slice(0, SCOUTS);
    return isAny(await askAll(scouted, SCOUTS, (agent) => directly(agent, now)));
  }

  #isTimeToScout(): boolean {
    return performance.now() - this.#scoutedAt > SCOUT_AGAIN_MS;
  }
}

const directly = async ({ node, origin }: AskedAgent, now: number): Promise<AgentAnswer> => ({
  node,
  report: origin === null ? null : await askAgent(origin, now),
});

const isAny = (answers: readonly AgentAnswer[]): boolean => answers.some(({ report }) => report !== null);

/** Answers in the order of the agents; one that keeps silent holds up nobody but its own turn. */
const askAll = async (
  agents: readonly AskedAgent[],
  atOnce: number,
  ask: (agent: AskedAgent) => Promise<AgentAnswer>,
): Promise<readonly AgentAnswer[]> => {
  const answers: AgentAnswer[] = [];
  const left = agents.entries();
  const takeTurns = async (): Promise<void> => {
    for (const [index, agent] of left) answers[index] = await ask(agent);
  };
  await Promise.all(Array.from({ length: atOnce }, takeTurns));
  return answers;
};
