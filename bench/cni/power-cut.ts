/**
 * `node bench/cni/power-cut.ts [--out FOLDER]`: ADD and DEL are stopped before each call by which they change a file, the
 * store, an ext4 image, is copied as the disk has it at that moment and once more as it is when all was written, and the
 * machine starts anew with the copy: another boot id, no links, no rules. Then each of the things that may come next.
 * No call may fail, no address may be lost or given twice, nothing may be left when all pods are gone.
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../machine.ts';
import { hideHost, isIsolated, isolate } from './node.ts';
import { ours } from './plugins.ts';
import { PowerCutNode } from './power-cut-node.ts';

const store = '/var/lib/cni';
const work = '/run/power-cut';
/** Everything that changes a file or its name; netlink requests are writes too. */
const changes = '/^(mkdir|rename|link|unlink)(at|at2)?$|^(fsync|fdatasync|ftruncate|write|pwrite64)$';

const run = (program: string, ...args: string[]): void => {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
};

const bootIdFile = `${work}/boot_id`;
const newBoot = (): void => writeFileSync(bootIdFile, `${randomUUID()}\n`);

function withStore<T>(image: string, use: () => T): T {
  run('mount', '-o', 'loop', image, store);
  try {
    return use();
  } finally {
    run('umount', store);
  }
}

/** What may come after the machine is up again; each answers the complaints of the calls that failed. */
const orders: Readonly<Record<string, (node: PowerCutNode) => string[]>> = {
  // kubelet: the old sandboxes go without a namespace, then new ones come.
  'DEL of the old, then new pods': (node) => [
    ...['victim', 'keeper'].flatMap((name) => node.call('DEL', name, '')),
    ...node.fill(),
  ],
  'GC, then new pods': (node) => [...node.gc(), ...node.fill()],
  // A runtime that lost its own state: nobody tells of the old ones.
  'new pods at once': (node) => node.fill(),
};

/** Files of leases and records; where the search goes on, and which boot it is, belong to nobody. */
function left(): readonly string[] {
  const files = (folder: string): readonly string[] => {
    try {
      return readdirSync(`${store}/${folder}/${PowerCutNode.network}`).map((file) => `${folder}/${file}`);
    } catch {
      return [];
    }
  };
  return [...files('networks'), ...files('kilowire')].filter((file) => !file.includes('/last_reserved_ip.'));
}

interface Cut {
  readonly verb: string;
  readonly before: number;
  readonly disk: string;
  readonly order: string;
  readonly complaints: readonly string[];
}

function comeBack(image: string, order: string): readonly string[] {
  const copy = `${work}/copy.img`;
  copyFileSync(image, copy);
  newBoot();
  return withStore(copy, () => {
    const node = new PowerCutNode(plugins);
    try {
      const complaints = orders[order]?.(node) ?? [];
      return [...complaints, ...left().map((file) => `left: ${file}`)];
    } finally {
      node.remove();
    }
  });
}

/** The disk before the call: a keeper is attached, for DEL the victim too. */
function prepare(verb: 'ADD' | 'DEL'): string {
  const image = `${work}/${verb}.img`;
  run('truncate', '-s', '8M', image);
  run('mkfs.ext4', '-q', '-F', '-O', '^has_journal', image);
  run('tune2fs', '-O', 'has_journal', image);
  withStore(image, () => {
    const node = new PowerCutNode(plugins);
    const complaints = ['keeper', ...(verb === 'DEL' ? ['victim'] : [])].flatMap((name) =>
      node.call('ADD', name),
    );
    node.remove();
    if (complaints.length > 0) throw new Error(complaints.join('\n'));
  });
  return image;
}

/** Stops the call before its `count`th change; answers the images of the disk, or none when it ended by itself. */
function cut(base: string, verb: 'ADD' | 'DEL', count: number): Readonly<Record<string, string>> {
  const image = `${work}/live.img`;
  copyFileSync(base, image);
  newBoot();
  return withStore(image, () => {
    const node = new PowerCutNode(plugins);
    try {
      const strace = [
        '-f',
        '-qq',
        '-e',
        `trace=${changes}`,
        '-e',
        `inject=${changes}:signal=SIGKILL:when=${count}`,
      ];
      const { status, signal } = spawnSync('strace', [...strace, '-o', '/dev/null', node.program], {
        input: node.config(),
        env: node.environment(verb, 'victim'),
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      if (status === 0 && signal === null) return {};
      copyFileSync(image, `${work}/at-once.img`);
      run('sync', '-f', store);
      copyFileSync(image, `${work}/written.img`);
      return { 'as it was': `${work}/at-once.img`, 'all written': `${work}/written.img` };
    } finally {
      node.remove();
    }
  });
}

const plugins = ours();

function main(): void {
  const { values } = parseArgs({ options: { out: { type: 'string' } } });
  const machine = describeMachine();
  hideHost();
  mkdirSync(work);
  newBoot();
  run('mount', '--bind', bootIdFile, '/proc/sys/kernel/random/boot_id');
  const cuts: Cut[] = [];
  for (const verb of ['ADD', 'DEL'] as const) {
    const base = prepare(verb);
    for (let before = 1; before < 200; before += 1) {
      const images = Object.entries(cut(base, verb, before));
      if (images.length === 0) break;
      for (const [disk, image] of images) {
        for (const order of Object.keys(orders)) {
          const complaints = comeBack(image, order);
          cuts.push({ verb, before, disk, order, complaints });
          for (const complaint of complaints)
            console.log(`${verb} cut before change ${before}, disk ${disk}, ${order}: ${complaint}`);
        }
      }
    }
  }
  const faults = cuts.filter(({ complaints }) => complaints.length > 0).length;
  const points = new Set(cuts.map(({ verb, before }) => `${verb} ${before}`)).size;
  const totals = { points, cuts: cuts.length, faults };
  console.log(totals);
  if (faults > 0) process.exitCode = 1;
  const folder = values.out ?? join(dirname(fileURLToPath(import.meta.url)), '../results');
  const command = `node bench/cni/power-cut.ts ${process.argv.slice(2).join(' ')}`.trim();
  writeFileSync(
    join(folder, 'cni-power-cut.json'),
    `${JSON.stringify({ machine, command, totals, faulty: cuts.filter(({ complaints }) => complaints.length > 0) }, null, 2)}\n`,
  );
}

try {
  if (process.getuid?.() !== 0)
    console.log('power-cut: skipped: it mounts and makes namespaces, so it has to be run as root');
  else if (isIsolated()) main();
  else isolate();
} finally {
  rmSync(plugins.directory, { recursive: true });
}
