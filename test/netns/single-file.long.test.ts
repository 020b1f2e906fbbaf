/**
 * The release's single file: what a person downloads, calls and puts under other names.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ARCHITECTURES } from '../../scripts/release/architecture.ts';
import { writeSingleFile } from '../../scripts/release/single-file.ts';
import { isRoot, root } from './host.ts';

const machine = ARCHITECTURES.find(({ node }) => node === process.arch);
const run = promisify(execFile);

describe.skipIf(machine === undefined)('the single file', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'kwsf-'));
  const file = join(folder, `kilowire-linux-${machine?.node}`);
  const data = join(folder, 'data');
  const { version } = JSON.parse(execFileSync('cat', [join(root, 'package.json')], { encoding: 'utf8' })) as {
    version: string;
  };
  const call = (program: string, args: readonly string[], place = data) =>
    spawnSync(program, args, { encoding: 'utf8', env: { PATH: process.env.PATH, KILOWIRE_DATA: place } });

  beforeAll(() => {
    if (machine !== undefined) writeSingleFile(machine, join(root, 'dist/kilowire-cni'), file);
  }, 300_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('unpacks itself once, however many call it at first', async () => {
    const env = { PATH: process.env.PATH, KILOWIRE_DATA: data };
    const answers = await Promise.all(Array.from({ length: 4 }, () => run(file, ['version'], { env })));
    for (const { stdout } of answers) expect(stdout).toBe(`kilowire version ${version}\n`);
    const [home, ...others] = readdirSync(data);
    expect(others).toEqual([]);
    const made = statSync(join(data, home ?? '')).ctimeMs;
    expect(call(file, ['version']).stdout).toBe(`kilowire version ${version}\n`);
    expect(statSync(join(data, home ?? '')).ctimeMs).toBe(made);
  });

  test('is the program it is called by', () => {
    const under = (name: string, ...args: string[]): string => {
      symlinkSync(file, join(folder, name));
      const { stdout, stderr } = call(join(folder, name), args);
      return stdout + stderr;
    };
    expect(under('kgctl', 'version')).toBe(`kgctl version ${version}\n`);
    expect(under('kg', '--help')).toContain('--mesh-granularity');
    expect(under('kilowire-wg', '--version')).toContain(`kilowire-wg v${version}`);
    expect(under('kilowire-cni')).toContain('CNI protocol versions supported');
  });

  test('hands on what the program says and how it ended', () => {
    expect(call(file, ['grahp'])).toMatchObject({ status: 2, stderr: expect.stringContaining('graph') });
  });

  test('says what is wrong with a file that was not wholly fetched, and leaves nothing', () => {
    const half = join(folder, 'half');
    copyFileSync(file, half);
    truncateSync(half, Math.floor(statSync(file).size / 2));
    const place = join(folder, 'elsewhere');
    const answer = call(half, ['version'], place);
    expect(answer).toMatchObject({ status: 1, stderr: expect.stringContaining('SHA256SUMS') });
    expect(readdirSync(place)).toEqual([]);
  });

  test.skipIf(!isRoot)('says so when the disk is full, and goes on once it is not', () => {
    const small = join(folder, 'small');
    mkdirSync(small);
    const script = `mount -t tmpfs -o size=20m none ${small} && { ${file} version; echo "status $?"; ls -A ${small}; mount -o remount,size=600m ${small} && ${file} version; }`;
    const answer = spawnSync('unshare', ['-m', 'sh', '-c', script], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, KILOWIRE_DATA: small },
    });
    expect(answer.stdout).toBe(`status 1\nkilowire version ${version}\n`);
    expect(answer.stderr).toContain('is there room');
  });

  test.skipIf(!isRoot)('serves a person who is not root', () => {
    const home = join(folder, 'home');
    mkdirSync(home);
    execFileSync('chmod', ['755', folder]);
    execFileSync('chown', ['nobody', home]);
    const { stdout } = spawnSync('setpriv', ['--reuid=nobody', '--clear-groups', file, 'version'], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOME: home },
    });
    expect(stdout).toBe(`kilowire version ${version}\n`);
    expect(readdirSync(join(home, '.cache/kilowire'))).toHaveLength(1);
  });
});
