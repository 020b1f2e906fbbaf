/**
 * What the commands of `kilowire cni` do, as functions from flags to what is printed.
 * @module
 */
import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { AdminError } from '../cni/admin/admin-error.ts';
import { collect, judge } from '../cni/admin/collection.ts';
import { conflistText } from '../cni/admin/conflist.ts';
import { explain as explainHolders } from '../cni/admin/explanation.ts';
import { examine } from '../cni/admin/health.ts';
import { listHolders } from '../cni/admin/holder.ts';
import { hasOwnConflist, planInstallation, planRemoval, type Step } from '../cni/admin/installation.ts';
import { knownToContainerd, parseKnown } from '../cni/admin/known-containers.ts';
import { findNetworks, type Network } from '../cni/admin/network.ts';
import { rangeUse } from '../cni/admin/range-use.ts';
import { findRuntimePaths } from '../cni/admin/runtime-paths.ts';
import { explanationText, healthText, holdersText, stepsText, verdictsText } from './cni-text.ts';
import { version } from './version.ts';

export interface Outcome {
  readonly text: string;
  readonly ok: boolean;
}

export interface StandingOptions {
  readonly output: 'text' | 'json';
  readonly binDir?: string;
  readonly confDir?: string;
  readonly stateDir?: string;
  readonly dataDir?: string;
  readonly network?: string;
}

interface InstallFlags extends StandingOptions {
  readonly subnet?: readonly string[];
  readonly name: string;
  readonly bridge: string;
  readonly mtu: number;
  readonly ipMasq: boolean;
  readonly hairpin: boolean;
  readonly from?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

const outcome = (options: StandingOptions, value: object, text: () => string, ok = true): Outcome => ({
  text: options.output === 'json' ? JSON.stringify(value, null, 2) : text(),
  ok,
});

export function install(options: InstallFlags): Outcome {
  const places = placesOf(options);
  if (options.subnet === undefined && !hasOwnConflist(places.confDir))
    throw new AdminError(
      'ERR_CNI_ADMIN_INPUT',
      `${places.confDir} has no conflist of ours yet; say which addresses the pods of this node get: --subnet 10.42.0.0/24.`,
    );
  const conflist =
    options.subnet === undefined
      ? undefined
      : { name: options.name, text: conflistText({ ...options, subnets: options.subnet }) };
  const steps = planInstallation({
    ...places,
    executable: options.from ?? packagedExecutable(),
    conflist,
    force: options.force === true,
  });
  return carryOut(options, places, steps, options.dryRun === true);
}

/** Only the executables, as an agent puts them on its node. */
export function installExecutables(binDir: string): readonly Step[] {
  const steps = planInstallation({
    binDir,
    confDir: '',
    executable: packagedExecutable(),
    conflist: undefined,
    force: false,
  });
  mkdirSync(binDir, { recursive: true });
  for (const step of steps) step.run();
  return steps;
}

/** @throws AdminError while containers are attached: without the executable the runtime cannot take that back. */
export function removeExecutables(binDir: string, confDir: string, attached: number): readonly Step[] {
  const steps = planRemoval({ binDir, confDir, attached, force: false });
  for (const step of steps) step.run();
  return steps;
}

export function uninstall(options: StandingOptions & { dryRun?: boolean; force?: boolean }): Outcome {
  const places = placesOf(options);
  const attached = networksOf(options)
    .flatMap(listHolders)
    .filter(({ life }) => life === 'alive').length;
  const steps = planRemoval({ ...places, attached, force: options.force === true });
  return carryOut(options, places, steps, options.dryRun === true);
}

function carryOut(
  options: StandingOptions,
  places: { binDir: string; confDir: string; from: string },
  steps: readonly Step[],
  dryRun: boolean,
): Outcome {
  if (!dryRun) for (const step of steps) step.run();
  const told = steps.map(({ action, path, why, difference }) => ({ action, path, why, difference }));
  return outcome(options, { dryRun, ...places, steps: told }, () => stepsText(told, dryRun));
}

export function status(options: StandingOptions): Outcome {
  const health = examine({ ...options, ...placesOf(options), version: version(), env: process.env });
  return outcome(options, health, () => healthText(health), health.problems.length === 0);
}

export function leases(options: StandingOptions): Outcome {
  const networks = networksOf(options).map((network) => ({
    name: network.name,
    ranges: rangeUse(network),
    holders: listHolders(network).map(({ record: _, ...holder }) => holder),
  }));
  return outcome(options, { networks }, () => holdersText(networks));
}

interface GcOptions extends StandingOptions {
  /** Text with one container id a line. */
  readonly list: string | undefined;
  readonly grace: number;
  readonly dryRun?: boolean;
}

export function gc(options: GcOptions): Outcome {
  const complete = options.list !== undefined;
  const known = options.list === undefined ? knownToContainerd() : parseKnown(options.list);
  const networks = networksOf(options).map((network) => {
    const verdicts = judge(network, { known, complete, grace: options.grace * 1000, now: Date.now() });
    return {
      name: network.name,
      failures: options.dryRun === true ? [] : collect(network, verdicts),
      attachments: verdicts.map(({ holder, remove, why }) => ({
        containerId: holder.containerId,
        ifname: holder.ifname,
        podName: holder.podName,
        addresses: holder.addresses,
        remove,
        why,
      })),
    };
  });
  const ok = networks.every(({ failures }) => failures.length === 0);
  const dryRun = options.dryRun === true;
  return outcome(options, { dryRun, networks }, () => verdictsText(networks, dryRun), ok);
}

export function explain(what: string, options: StandingOptions): Outcome {
  const explanations = explainHolders(networksOf(options), what);
  const ok = explanations.every(({ findings }) => findings.every(({ asExpected }) => asExpected));
  return outcome(options, { attachments: explanations }, () => explanationText(explanations), ok);
}

function placesOf({ binDir, confDir }: StandingOptions): { binDir: string; confDir: string; from: string } {
  const found = findRuntimePaths();
  return { binDir: binDir ?? found.binDir, confDir: confDir ?? found.confDir, from: found.from };
}

function networksOf(options: StandingOptions): readonly Network[] {
  return findNetworks({ ...options, confDir: placesOf(options).confDir, env: process.env });
}

/** Beside the bundle, or in dist when the source runs. */
function packagedExecutable(): string {
  const candidates = ['./kilowire-cni', '../kilowire-cni', '../../dist/kilowire-cni'].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  return candidates.find((path) => existsSync(path)) ?? candidates[0] ?? '';
}
