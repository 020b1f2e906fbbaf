/**
 * Putting the plugin where a runtime finds it, and taking it away again. What is there is looked at first; the
 * plan that follows is shown (--dry-run) or carried out. Nothing that is not ours is replaced or deleted unless
 * that is demanded.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { errorCode, removeFile } from '../files.ts';
import { AdminError } from './admin-error.ts';
import { copyAtomically, writeAtomically } from './atomic-file.ts';
import { pluginType, readConfFolder } from './conf-folder.ts';

export interface Step {
  readonly action: 'create' | 'replace' | 'keep' | 'delete';
  readonly path: string;
  readonly why: string;
  /** Lines of the file, "- " and "+ " before those that change. */
  readonly difference: readonly string[];
  readonly run: () => void;
}

export interface InstallOptions {
  readonly binDir: string;
  readonly confDir: string;
  /** The executable to copy. */
  readonly executable: string;
  /** undefined keeps the conflist that is there. */
  readonly conflist: { readonly name: string; readonly text: string } | undefined;
  readonly force: boolean;
}

/** Names the executable goes by: ours, and the one containerd asks for with every pod. */
export const executableNames = [pluginType, 'loopback'] as const;

export const conflistFile = (network: string): string => `10-${network}.conflist`;

export function planInstallation(options: InstallOptions): readonly Step[] {
  if (!existsSync(options.executable))
    throw new AdminError(
      'ERR_CNI_ADMIN_MISSING',
      `${options.executable} is not there; build it with "npm run build", or name one with --from.`,
    );
  const steps = executableNames.map((name) => planExecutable(options, join(options.binDir, name)));
  if (options.conflist !== undefined) steps.push(planConflist(options, options.conflist));
  return steps;
}

function planExecutable({ executable, force }: InstallOptions, path: string): Step {
  const run = () => copyAtomically(executable, path, 0o755);
  const step = { path, difference: [], run };
  if (!existsSync(path)) return { ...step, action: 'create', why: `a copy of ${executable}` };
  if (isSameFile(path, executable)) return keep(path, 'it is the same file already');
  const version = installedVersion(path);
  if (version !== '') return { ...step, action: 'replace', why: `it is our version ${version}` };
  if (force) return { ...step, action: 'replace', why: "somebody else's, by --force" };
  if (basename(path) === 'loopback') return keep(path, "somebody else's loopback does as well");
  throw foreign(path);
}

function planConflist(options: InstallOptions, wanted: { name: string; text: string }): Step {
  const path = join(options.confDir, conflistFile(wanted.name));
  const run = () => writeAtomically(path, wanted.text, 0o644);
  const present = read(path);
  const after = difference(present ?? '', wanted.text);
  if (present === undefined) return { action: 'create', path, why: 'the network', difference: after, run };
  if (present === wanted.text) return keep(path, 'it says the same already');
  if (!options.force)
    throw new AdminError(
      'ERR_CNI_ADMIN_FOREIGN',
      `${path} says something else (${after.filter((line) => /^[-+] /.test(line)).length} lines differ); replace it with --force, or leave --subnet out to keep it.`,
    );
  return { action: 'replace', path, why: 'it said something else, by --force', difference: after, run };
}

export interface UninstallOptions {
  readonly binDir: string;
  readonly confDir: string;
  /** Containers that are attached still. */
  readonly attached: number;
  readonly force: boolean;
}

/** The conflist goes first: from then on the runtime asks for no more attachments. */
export function planRemoval(options: UninstallOptions): readonly Step[] {
  if (options.attached > 0 && !options.force)
    throw new AdminError(
      'ERR_CNI_ADMIN_IN_USE',
      `${options.attached} containers are attached still, and only the plugin can take that back; drain the node first, or use --force.`,
    );
  const conflists = readConfFolder(options.confDir)
    .filter(({ plugin }) => plugin !== undefined)
    .map(({ path }) => remove(path, 'a network of ours'));
  const executables = executableNames
    .map((name) => join(options.binDir, name))
    .filter((path) => existsSync(path))
    .map((path) =>
      installedVersion(path) === '' ? keep(path, "it is somebody else's") : remove(path, 'our executable'),
    );
  return [...conflists, ...executables];
}

const keep = (path: string, why: string): Step => ({
  action: 'keep',
  path,
  why,
  difference: [],
  run: () => {},
});

const remove = (path: string, why: string): Step => ({
  action: 'delete',
  path,
  why,
  difference: [],
  run: () => removeFile(path),
});

const foreign = (path: string): AdminError =>
  new AdminError(
    'ERR_CNI_ADMIN_FOREIGN',
    `${path} is there and is not ours; use another --bin-dir, or --force to replace it.`,
  );

/** The version an executable says it is when it is called without a command; '' when it is none of ours. */
export function installedVersion(path: string): string {
  const { stderr } = spawnSync(path, [], { env: {}, encoding: 'utf8', timeout: 5000, input: '' });
  return /^CNI kilowire plugin v([\w.+-]+)/.exec(stderr ?? '')?.[1] ?? '';
}

const PIECE = 1 << 20;

/** Piece by piece: the executable is a hundred megabytes, and an agent's memory has a limit. */
function isSameFile(a: string, b: string): boolean {
  if (statSync(a).size !== statSync(b).size) return false;
  const files = [openSync(a, 'r'), openSync(b, 'r')] as const;
  const [left, right] = [Buffer.allocUnsafe(PIECE), Buffer.allocUnsafe(PIECE)];
  try {
    for (let at = 0; ; at += PIECE) {
      const length = readSync(files[0], left, 0, PIECE, at);
      if (length !== readSync(files[1], right, 0, PIECE, at)) return false;
      if (!left.subarray(0, length).equals(right.subarray(0, length))) return false;
      if (length < PIECE) return true;
    }
  } finally {
    for (const file of files) closeSync(file);
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Line by line, by the longest common subsequence: conflists are short. */
export function difference(before: string, after: string): readonly string[] {
  const a = before === '' ? [] : before.trimEnd().split('\n');
  const b = after.trimEnd().split('\n');
  const common = [...a, ''].map(() => new Array<number>(b.length + 1).fill(0));
  const at = (i: number, j: number): number => common[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--) {
      const row = common[i];
      if (row !== undefined)
        row[j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push(`  ${a[i++]}`);
      j++;
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) lines.push(`- ${a[i++]}`);
    else lines.push(`+ ${b[j++]}`);
  }
  return lines;
}

/** Has the folder a conflist of ours already? */
export const hasOwnConflist = (confDir: string): boolean =>
  readConfFolder(confDir).some(({ plugin }) => plugin !== undefined);
