/**
 * `npm test` and `npm run test:long`: installs the Debian programs the tests talk to when that is possible, says what is
 * missing, and runs the tests. Arguments go to vitest.
 *
 *     node scripts/test.ts                   all but the long ones; what is late after 40 minutes is left out
 *     node scripts/test.ts ARGUMENT…         some of them, without that limit
 *     node scripts/test.ts long [SUBJECT…]   the long ones, half an hour a subject
 *     node scripts/test.ts long FILE…        some of them, without a limit
 *
 * KILOWIRE_TEST_MINUTES is another limit.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { longTests } from './long-tests.ts';
import { root } from './tree.ts';

/** Program → the Debian package that brings it. */
const peers: Record<string, string> = {
  ip: 'iproute2',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
  iperf3: 'iperf3',
  ping: 'iputils-ping',
  nft: 'nftables',
  iptables: 'iptables',
  tcpdump: 'tcpdump',
  curl: 'curl',
  strace: 'strace',
  ncat: 'ncat',
};
/** Container runtimes. */
const runtimes: Record<string, string> = {
  containerd: 'containerd',
  runc: 'runc',
  podman: 'podman',
  conmon: 'conmon',
  busybox: 'busybox-static',
  '/usr/lib/cni/bridge': 'containernetworking-plugins',
};

/** What one start of vitest is given; `minutes` after which nothing more begins, and what runs the rest. */
interface Run {
  readonly args: readonly string[];
  readonly limit?: { readonly minutes: number; readonly rest: string };
}

/** As far as it is read. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly FileReport[];
}
interface FileReport {
  readonly status: string;
  readonly assertionResults: readonly { readonly status: string }[];
}

/** A file that failed before any of its tests could. */
const isStillborn = ({ status, assertionResults }: FileReport): boolean =>
  status === 'failed' && !assertionResults.some((test) => test.status === 'failed');

const minutes = (usual: number): number => Number(process.env.KILOWIRE_TEST_MINUTES ?? usual);

function ordinaryRun(args: readonly string[]): Run {
  const some = args.some((word) => word.startsWith('--project')) ? args : ['--project', '!long', ...args];
  if (args.length > 0) return { args: some };
  const rest = 'npm test -- --project runtime --project kubernetes';
  return { args: some, limit: { minutes: minutes(40), rest } };
}

function longRuns(args: readonly string[]): readonly Run[] {
  const subjects = args.length === 0 ? Object.keys(longTests) : args.filter((word) => word in longTests);
  const others = args.filter((word) => !(word in longTests));
  if (subjects.length === 0) return [{ args: ['--project', 'long', ...others] }];
  return subjects.map((subject) => {
    const files = (longTests[subject] ?? []).map((name) => `test/netns/${name}.long.test.ts`);
    const limit = { minutes: minutes(30), rest: 'npm run test:long -- FILE' };
    return { args: ['--project', 'long', ...files, ...others], limit };
  });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const [first, ...more] = process.argv.slice(2);
const isLong = first === 'long';
const args = isLong ? more : process.argv.slice(2);
const runs = isLong ? longRuns(args) : [ordinaryRun(args)];
const wantsRuntimes = isLong || args.length === 0 || args.some((word) => /runtime|kube/.test(word));
const wanted = wantsRuntimes ? { ...peers, ...runtimes } : peers;

// The last is where Go's own archive is unpacked.
const searchPath = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/local/go/bin'];
const missing = Object.keys(wanted).filter(
  (name) =>
    !(name.startsWith('/') ? isProgram(name) : searchPath.some((folder) => isProgram(join(folder, name)))),
);
const isRoot = process.getuid?.() === 0;

if (missing.length > 0 && isRoot && existsSync('/etc/debian_version')) {
  const packages = [...new Set(missing.map((name) => wanted[name] as string))];
  console.log(`installing from Debian: ${packages.join(' ')}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (args: string[]): boolean =>
    spawnSync('apt-get', args, { env: environment, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0;
  const install = ['install', '-y', '-qq', '--no-install-recommends', ...packages];
  if (!apt(install) && !(apt(['update', '-qq']) && apt(install))) {
    console.log('some packages could not be installed; the tests that need them will say so');
  }
} else if (missing.length > 0) {
  console.log(`not on this machine, so the tests that need them are skipped: ${missing.join(', ')}`);
}
if (!isRoot) console.log('not root: the tests in network namespaces are skipped');

const report = join(root, 'dist/test-results.json');
mkdirSync(join(root, 'dist'), { recursive: true });
let [passed, failed, skipped, reports] = [0, 0, 0, 0];

for (const { args, limit } of runs) {
  rmSync(report, { force: true });
  const result = spawnSync(
    join(root, 'node_modules/.bin/vitest'),
    ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args],
    { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: searchPath.join(':'), ...timeLimit(limit) } },
  );
  if (result.status !== 0) process.exitCode = result.status ?? 1;
  if (!existsSync(report)) continue;
  const counts = JSON.parse(readFileSync(report, 'utf8')) as Report;
  reports += 1;
  passed += counts.numPassedTests;
  failed += counts.numFailedTests + counts.testResults.filter(isStillborn).length;
  skipped += counts.numPendingTests + counts.numTodoTests;
}
if (reports > 0) console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);

/** For test/time-limit.ts. */
function timeLimit(limit: Run['limit']): Readonly<Record<string, string>> {
  if (limit === undefined) return {};
  return {
    KILOWIRE_TEST_UNTIL: String(Date.now() + limit.minutes * 60_000),
    KILOWIRE_TEST_MINUTES: String(limit.minutes),
    KILOWIRE_TEST_REST: limit.rest,
  };
}
