/**
 * `node bench/cni/kill-trials.ts [--trials 1000] [--seed N] [--out FOLDER]`: SIGKILL at a random moment of ADD or DEL,
 * the plugin alone, with all it started, or the resident that answers it, then what a runtime does about it in one of its real orders. Counts what is
 * left behind and addresses that two pods had; stored, trial by trial, under bench/results/.
 *
 * Beside the victim there are a keeper, attached all the time, and a witness, attached between kill and clean-up: nobody
 * may get an address that one of them, or the victim's own interface, still has.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../machine.ts';
import { addressOf, type Reach, TrialNode } from './kill-node.ts';
import { hideHost, isIsolated, isolate } from './node.ts';
import { ours } from './plugins.ts';
import { adoptOrphans, settle } from './process.ts';

/** mulberry32: the same seed, the same trials. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What runtimes do after a call that did not end well; each answers how many of its calls failed. */
const orders: Readonly<Record<string, (node: TrialNode) => number>> = {
  // containerd: StopPodSandbox, then RemovePodSandbox after the namespace is gone.
  'DEL, namespace removed, DEL without': (node) => {
    const failed = node.del('victim');
    node.removeVictim();
    return failed + node.del('victim', '') + node.del('victim', '');
  },
  // A node's or a runtime's crash: the namespace has gone with the process.
  'namespace removed, DEL without': (node) => {
    node.removeVictim();
    return node.del('victim', '');
  },
  // ctr and nerdctl never send the namespace.
  'DEL without, twice': (node) => node.del('victim', '') + node.del('victim', ''),
  // nerdctl and a retrying runtime: DEL first, ADD again under the same name, DEL at the end.
  'DEL, ADD again, DEL': (node) => node.del('victim') + node.addAgain() + node.del('victim'),
  // libcni's GC: no DEL at all, only the list of those who live.
  GC: (node) => node.gc(['keeper', 'witness']),
};

interface Trial {
  readonly number: number;
  readonly verb: 'ADD' | 'DEL';
  readonly reach: Reach;
  /** A resident answered when the call began. */
  readonly warm: boolean;
  readonly order: string;
  readonly afterMs: number;
  readonly killed: boolean;
  readonly failedCalls: number;
  readonly leaks: readonly string[];
  readonly doubles: readonly string[];
}

function runTrial(number: number, node: TrialNode, chance: () => number): Trial {
  const verb = chance() < 0.5 ? 'ADD' : 'DEL';
  const reaches: readonly Reach[] = ['process', 'group', 'resident'];
  const reach = reaches[Math.floor(chance() * reaches.length)] ?? 'process';
  const cold = reach !== 'resident' && chance() < 0.5;
  const names = Object.keys(orders);
  const order = names[Math.floor(chance() * names.length)] ?? '';
  node.makeVictim();
  if (verb === 'DEL') node.add('victim');
  if (cold) node.cool();
  const warm = node.isWarm;
  const afterMs = chance() * node.duration(verb) * 1.05;
  const killed = node.kill(verb, reach, afterMs);
  const inVictim = node.addressesInside();
  const witness = addressOf(node.add('witness'));
  const taken = [...inVictim, addressOf(node.keeper)];
  const doubles = taken.includes(witness) ? [`the witness got ${witness}, which is in use`] : [];
  const failedCalls = orders[order]?.(node) ?? 0;
  node.del('witness');
  settle();
  const leaks = node.leaks();
  node.removeVictim();
  return { number, verb, reach, warm, order, afterMs, killed, failedCalls, leaks, doubles };
}

function summary(trials: readonly Trial[]): Record<string, Record<string, number>> {
  const table: Record<string, Record<string, number>> = {};
  for (const { verb, reach, warm, order, killed, failedCalls, leaks, doubles } of trials) {
    const who = reach === 'resident' ? '' : warm ? ', a resident works' : ', by itself';
    const key = `${verb}, ${reach} killed${who}, then: ${order}`;
    const row = table[key] ?? { trials: 0, killed: 0, failedCalls: 0, leaks: 0, doubles: 0 };
    table[key] = {
      trials: (row.trials ?? 0) + 1,
      killed: (row.killed ?? 0) + (killed ? 1 : 0),
      failedCalls: (row.failedCalls ?? 0) + failedCalls,
      leaks: (row.leaks ?? 0) + leaks.length,
      doubles: (row.doubles ?? 0) + doubles.length,
    };
  }
  return table;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      trials: { type: 'string', default: '1000' },
      seed: { type: 'string', default: String(Date.now() % 1e6) },
      out: { type: 'string' },
    },
  });
  if (process.getuid?.() !== 0) {
    console.log('kill-trials: skipped: it makes network namespaces, so it has to be run as root');
    return;
  }
  if (!isIsolated()) {
    isolate();
    return;
  }
  const machine = describeMachine();
  hideHost();
  adoptOrphans();
  const node = new TrialNode(ours());
  const seed = Number(values.seed);
  const chance = random(seed);
  const trials: Trial[] = [];
  const began = performance.now();
  for (let number = 1; number <= Number(values.trials); number += 1) {
    const trial = runTrial(number, node, chance);
    trials.push(trial);
    for (const bad of [...trial.leaks, ...trial.doubles])
      console.log(`trial ${number} (${trial.verb}, ${trial.reach}, ${trial.order}): ${bad}`);
    if (number % 100 === 0)
      console.log(`${number} trials, ${trials.filter((each) => each.killed).length} killed`);
  }
  node.close();
  const total = (count: (trial: Trial) => number): number =>
    trials.reduce((sum, trial) => sum + count(trial), 0);
  const totals = {
    trials: trials.length,
    killed: total(({ killed }) => (killed ? 1 : 0)),
    failedCalls: total(({ failedCalls }) => failedCalls),
    leaks: total(({ leaks }) => leaks.length),
    addressesTwice: total(({ doubles }) => doubles.length),
    seconds: Math.round((performance.now() - began) / 1000),
  };
  console.table(summary(trials));
  console.log(totals);
  if (totals.leaks + totals.addressesTwice > 0) process.exitCode = 1;
  if (values.out === undefined && trials.length < 1000) return;
  const folder = values.out ?? join(dirname(fileURLToPath(import.meta.url)), '../results');
  const command = `node bench/cni/kill-trials.ts ${process.argv.slice(2).join(' ')}`.trim();
  const result = { machine, command, seed, totals, orders: summary(trials) };
  writeFileSync(join(folder, 'cni-kill-trials.json'), `${JSON.stringify(result, null, 2)}\n`);
  const lines = trials.map((trial) => JSON.stringify(trial));
  writeFileSync(join(folder, 'cni-kill-trials.jsonl'), `${lines.join('\n')}\n`);
}

main();
