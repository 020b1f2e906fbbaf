/**
 * `npm test`: installs the Debian programs the tests talk to when that is possible, says what is missing, and runs all
 * tests. Arguments go to vitest.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
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
/** Container runtimes, for the long tests alone. */
const runtimes: Record<string, string> = {
  containerd: 'containerd',
  runc: 'runc',
  podman: 'podman',
  conmon: 'conmon',
  busybox: 'busybox-static',
  '/usr/lib/cni/bridge': 'containernetworking-plugins',
};
const args = process.argv.slice(2);
const isLong = args.some((word) => word === 'long' || word === '--project=long');
const wanted = isLong ? { ...peers, ...runtimes } : peers;

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const searchPath = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
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
rmSync(report, { force: true });
// The long tests run when they are asked for.
if (!args.some((word) => word.startsWith('--project'))) args.push('--project', '!long');
const result = spawnSync(
  join(root, 'node_modules/.bin/vitest'),
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args],
  { cwd: root, stdio: 'inherit', env: { ...process.env, PATH: searchPath.join(':') } },
);
process.exitCode = result.status ?? 1;
if (existsSync(report)) {
  const counts = JSON.parse(readFileSync(report, 'utf8')) as Record<string, number>;
  const skipped = (counts.numPendingTests ?? 0) + (counts.numTodoTests ?? 0);
  console.log(
    `${counts.numPassedTests ?? 0} passed, ${counts.numFailedTests ?? 0} failed, ${skipped} skipped`,
  );
}
