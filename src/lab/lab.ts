/**
 * The lab's verbs: up, check, status, down, and run, which is the first, the second and the last.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Topology } from '../routing/topology.ts';
import { type Checked, runChecks } from './checks/run-checks.ts';
import { hasTraces, takeDown } from './down.ts';
import { LabError } from './lab-error.ts';
import { INTERFACE, type LabOptions, type LabPlan, nodesOf, planLab } from './plan.ts';
import { preflight, requireRoot, requireWritable } from './preflight.ts';
import type { Progress } from './progress.ts';
import { describeLab, emptyReport, type LabReport } from './report.ts';
import { type LabState, StateFile } from './state.ts';
import { formatNodes, readDevices } from './status.ts';
import { formatMatrix } from './text-table.ts';
import { buildLab } from './up.ts';

const DEFAULT_SVG = 'kilowire-topology.svg';

export interface Verb {
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface UpVerb extends Verb {
  readonly options: LabOptions;
  readonly svg: string | undefined;
}

interface Running {
  readonly plan: LabPlan;
  readonly file: StateFile;
  readonly state: LabState;
}

/** What is left of a lab whose maker was killed goes first. */
const clearAway = async (file: StateFile, progress: Progress): Promise<void> => {
  let found = file.find();
  if (found.kind === 'none') {
    if (!hasTraces()) return;
    // Whoever made them since we looked has written its record first.
    found = file.find();
  }
  if (found.kind === 'owned')
    throw new LabError(
      'ERR_LAB_BUSY',
      `Process ${found.owner.pid} is running a lab: wait for it, or interrupt it with Ctrl-C.`,
    );
  if (found.kind === 'up')
    throw new LabError(
      'ERR_LAB_ALREADY_UP',
      'A lab is up already: check it with kilowire lab check, or take it down with kilowire lab down.',
    );
  await progress.step('cleaning up after a lab that was killed', async () => {
    await takeDown(file, found.kind === 'none' ? null : found.state);
    return {};
  });
};

const build = async (verb: UpVerb): Promise<Running & { readonly topology: Topology }> => {
  const { progress, signal, options } = verb;
  if (verb.svg !== undefined) requireWritable(verb.svg);
  const file = new StateFile();
  requireRoot();
  await clearAway(file, progress);
  await preflight();
  signal.throwIfAborted();
  const state = file.claim(options);
  const plan = planLab(options);
  try {
    const topology = await buildLab({ plan, file, state, progress, signal });
    state.phase = 'up';
    file.save(state);
    return { plan, file, state, topology };
  } catch (error) {
    await progress.step('taking it down again', async () => {
      await takeDown(file, state);
      return {};
    });
    // A signal may also have ended a program that was being waited for; what it says about that is of no use.
    throw signal.aborted ? signal.reason : error;
  }
};

/** Writes the picture where it was asked for, or here, or where temporary files go. */
const writeSvg = async (topology: Topology, path: string | undefined): Promise<string> => {
  const { toSvg } = await import('../routing/svg.ts');
  const svg = toSvg(topology);
  const chosen = resolve(path ?? DEFAULT_SVG);
  try {
    writeFileSync(chosen, svg);
    return chosen;
  } catch (error) {
    if (path !== undefined) throw error;
    const instead = join(tmpdir(), DEFAULT_SVG);
    writeFileSync(instead, svg);
    return instead;
  }
};

const tryLines = ({ plan, state }: Running): readonly string[] => {
  const node = nodesOf(plan)[0];
  const far = nodesOf(plan).findLast(({ pods }) => pods.length > 0);
  return [
    `ip netns exec ${node?.netns} wg show ${INTERFACE}`,
    `ip netns exec ${node?.pods[0]?.netns} ping -c 3 ${state.podIPs[far?.pods[0]?.name ?? '']}`,
    `ip netns exec ${plan.laptop.netns} curl http://${plan.web.dns}/`,
  ];
};

const find = (): Running => {
  requireRoot();
  const file = new StateFile();
  const found = file.find();
  if ((found.kind === 'up' || found.kind === 'owned') && found.state.phase === 'up')
    return { plan: planLab(found.state.options), file, state: found.state };
  if (found.kind === 'owned')
    throw new LabError('ERR_LAB_BUSY', `Process ${found.owner.pid} is still building a lab: wait for it.`);
  if (found.kind === 'abandoned')
    throw new LabError(
      'ERR_LAB_NOT_UP',
      'The last lab was killed half-way: clear it away with kilowire lab down.',
    );
  throw new LabError('ERR_LAB_NOT_UP', 'No lab is up: start one with kilowire lab up.');
};

const showResults = async (
  { plan, file, state }: Running,
  checked: Checked,
  progress: Progress,
): Promise<void> => {
  const devices = await readDevices(plan, file.directory);
  progress.line();
  progress.line(formatNodes(plan, state, devices, Math.floor(Date.now() / 1000)));
  progress.line();
  progress.line(
    formatMatrix(
      nodesOf(plan).flatMap(({ pods }) => pods.map(({ name }) => name)),
      checked.matrix,
    ),
  );
  progress.line();
};

const showVerdict = ({ checks }: Checked, progress: Progress): void => {
  const failed = checks.filter(({ ok }) => !ok);
  progress.line(
    failed.length === 0
      ? `All ${checks.length} checks hold.`
      : `${failed.length} of ${checks.length} checks failed: ${failed.map(({ name }) => name).join(', ')}.`,
  );
};

const check = async (running: Running, { progress, signal }: Verb): Promise<Checked> => {
  const { plan, file, state } = running;
  const checked = await runChecks({ plan, state, runDirectory: file.directory, progress, signal });
  await showResults(running, checked, progress);
  return checked;
};

const reportOf = ({ plan, state }: Running, checked?: Checked): LabReport =>
  describeLab(plan, state, checked?.checks, checked?.throughputMbps);

export const allHold = (report: LabReport): boolean => report.checks.every(({ ok }) => ok);

/** `kilowire lab up` */
export async function labUp(verb: UpVerb): Promise<LabReport> {
  const running = await build(verb);
  const { file, state, topology } = running;
  const { progress } = verb;
  if (verb.svg !== undefined) progress.line(`Topology: ${await writeSvg(topology, verb.svg)}`);
  // From here on it is nobody's, and stays until it is taken down.
  state.owner = null;
  file.save(state);
  progress.line();
  progress.line('The lab is up. Try:');
  for (const line of tryLines(running)) progress.line(`  ${line}`);
  progress.line('Check it with kilowire lab check; take it down with kilowire lab down.');
  return reportOf(running);
}

/** `kilowire lab check` */
export async function labCheck(verb: Verb): Promise<LabReport> {
  const running = find();
  const checked = await check(running, verb);
  showVerdict(checked, verb.progress);
  return reportOf(running, checked);
}

/** `kilowire lab status` */
export async function labStatus({ progress }: Verb): Promise<LabReport> {
  const running = find();
  const { plan, file, state } = running;
  const devices = await readDevices(plan, file.directory);
  progress.line(formatNodes(plan, state, devices, Math.floor(Date.now() / 1000)));
  return reportOf(running);
}

/** `kilowire lab down`; nothing to take down is no error. */
export async function labDown({ progress }: Verb): Promise<LabReport> {
  requireRoot();
  const file = new StateFile();
  const found = file.find();
  if (found.kind === 'owned')
    throw new LabError(
      'ERR_LAB_BUSY',
      `Process ${found.owner.pid} is running this lab: interrupt it with Ctrl-C, it cleans up after itself.`,
    );
  if (found.kind === 'none' && !hasTraces()) {
    progress.line('No lab is up.');
    return emptyReport;
  }
  await progress.step('taking the lab down', async () => {
    await takeDown(file, found.kind === 'none' ? null : found.state);
    return {};
  });
  return emptyReport;
}

/** `kilowire lab`: up, check, down. */
export async function labRun(verb: UpVerb): Promise<LabReport> {
  const { progress } = verb;
  const running = await build(verb);
  const { file, state, topology } = running;
  try {
    const checked = await check(running, verb);
    progress.line(`Topology: ${await writeSvg(topology, verb.svg)}`);
    showVerdict(checked, progress);
    return reportOf(running, checked);
  } finally {
    await progress.step('taking it down', async () => {
      await takeDown(file, state);
      return {};
    });
  }
}
