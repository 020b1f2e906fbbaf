/**
 * Takes a lab down: everything its record names, and what a killed run had no time to write down. It may be repeated, and
 * needs neither a record nor a whole lab.
 * @module
 */
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { sys } from '#sys';
import { deleteNamedNamespace, listNamedNamespaces, NAMED_NAMESPACES } from '../linux/namespaces.ts';
import { SystemError } from '../linux/sys.ts';
import { LabError } from './lab-error.ts';
import { isLabNamespace, nodesOf, planLab } from './plan.ts';
import { deletePod } from './pods.ts';
import { answers, SWITCH_SOCKET } from './preflight.ts';
import { endProcesses, findMarkedProcesses } from './processes.ts';
import { resolverDirectory } from './resolver-files.ts';
import type { LabState, StateFile } from './state.ts';

/** Whether something of a lab is left although no record says so. */
export const hasTraces = (): boolean =>
  listNamedNamespaces().some(isLabNamespace) || findMarkedProcesses().length > 0;

/** CNI DEL of every pod, as a runtime does; the namespaces go anyway, so a failure here costs nothing. */
const deletePods = async (file: StateFile, state: LabState): Promise<void> => {
  if (state.phase !== 'up') return;
  const deletions = nodesOf(planLab(state.options)).flatMap((node) =>
    node.pods.map((pod) => deletePod(node, pod, file.directory)),
  );
  await Promise.allSettled(deletions);
};

const removeNamespaces = (state: LabState | null): string[] => {
  const failed: string[] = [];
  const names = new Set([...(state?.namespaces ?? []), ...listNamedNamespaces().filter(isLabNamespace)]);
  for (const name of names) {
    try {
      deleteNamedNamespace(name);
    } catch {
      failed.push(`the namespace ${name}`);
    }
    rmSync(resolverDirectory(name), { recursive: true, force: true });
  }
  return failed;
};

const removeIfEmpty = (directory: string): void => {
  try {
    if (directory === NAMED_NAMESPACES && readdirSync(directory).length === 0) {
      sys.umount2(directory, 0); // it was made a mount point, as iproute2 does
    }
    rmdirSync(directory);
  } catch (error) {
    // Somebody else uses it by now, or it is gone already.
    const name = error instanceof SystemError ? error.errnoName : (error as NodeJS.ErrnoException).code;
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY', 'EINVAL'].includes(name ?? '')) throw error;
  }
};

/** Throws LabError ERR_LAB_LEFTOVERS, with what is left, when something would not go. */
export async function takeDown(file: StateFile, state: LabState | null): Promise<void> {
  if (state !== null) await deletePods(file, state);
  const stubborn = await endProcesses([...(state?.processes ?? []), ...findMarkedProcesses()]);
  const left = stubborn.map(({ pid }) => `process ${pid}`);
  left.push(...removeNamespaces(state));
  // One that still answers is not ours: our own ended with the daemon.
  if (existsSync(SWITCH_SOCKET) && !(await answers(SWITCH_SOCKET))) rmSync(SWITCH_SOCKET, { force: true });
  for (const directory of (state?.directories ?? []).toReversed()) removeIfEmpty(directory);
  if (left.length > 0)
    throw new LabError(
      'ERR_LAB_LEFTOVERS',
      `Not everything would go: ${left.join(', ')}. Run kilowire lab down again.`,
    );
  file.remove();
}

/** Those of a list of directories that are not there yet, to be remembered before they are made. */
export const missingDirectories = (directories: readonly string[]): string[] =>
  directories.filter((directory) => !existsSync(directory));
