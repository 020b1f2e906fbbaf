/**
 * What `kilowire cni` reads on a node: the folder of conflists, the runtime's state, and how it answers wrong words.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readConfFolder } from '../../../src/cni/admin/conf-folder.ts';
import { byAddress } from '../../../src/cni/admin/holder.ts';
import { knownToContainerd, parseKnown } from '../../../src/cni/admin/known-containers.ts';
import { findNetworks } from '../../../src/cni/admin/network.ts';
import { rangeUse } from '../../../src/cni/admin/range-use.ts';

const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

describe('a node', () => {
  let folder: string;
  let confDir: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kwr-'));
    confDir = join(folder, 'net.d');
    mkdirSync(confDir);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const conf = (file: string, value: unknown): void =>
    writeFileSync(join(confDir, file), typeof value === 'string' ? value : JSON.stringify(value));

  test('conflists come in the order of runtimes; what cannot be read says why', () => {
    conf('20-b.conflist', { name: 'b', plugins: [{ type: 'kilowire', bridge: 'br' }, { type: 'tuning' }] });
    conf('10-a.conf', { name: 'a', type: 'bridge' });
    conf('15-half.json', '{"name":');
    conf('30-list.conflist', []);
    conf('00-ignored.bak', '{}');
    const files = readConfFolder(confDir);
    expect(files.map(({ file }) => file)).toEqual([
      '10-a.conf',
      '15-half.json',
      '20-b.conflist',
      '30-list.conflist',
    ]);
    expect(files.map(({ types }) => types)).toEqual([['bridge'], [], ['kilowire', 'tuning'], []]);
    expect(files[2]).toMatchObject({ network: 'b', raw: { type: 'kilowire', bridge: 'br' }, problem: '' });
    expect(files[1]?.problem).toMatch(/JSON/);
    expect(files[3]?.problem).toBe('it is not a JSON object');
    expect(readConfFolder(join(folder, 'nowhere'))).toEqual([]);
  });

  test('networks are those of the conflists and those that only records tell of', () => {
    const stateDir = join(folder, 'state');
    mkdirSync(join(stateDir, 'gone'), { recursive: true });
    conf('10-net.conflist', {
      name: 'net',
      plugins: [
        {
          type: 'kilowire',
          stateDir,
          ipam: { dataDir: join(folder, 'leases'), ranges: [[{ subnet: '10.9.0.0/29' }]] },
        },
      ],
    });
    mkdirSync(join(folder, 'leases/net'), { recursive: true });
    for (const address of ['10.9.0.2', '10.9.0.5', 'last_reserved_ip.0', '10.8.0.1'])
      writeFileSync(join(folder, 'leases/net', address), 'x\r\neth0');
    const networks = findNetworks({ confDir, stateDir });
    expect(networks.map(({ name }) => name)).toEqual(['net', 'gone']);
    expect(networks.map(rangeUse)).toEqual([
      [{ range: '10.9.0.1-10.9.0.6', total: '5', held: 2, free: '3' }],
      [],
    ]);
    expect(() => findNetworks({ confDir, stateDir, network: 'nope' })).toThrow(
      /^No network "nope" is in .*; there are: net, gone\.$/,
    );
  });

  test("containerd's tasks are known by id and by the name ctr attaches them under", () => {
    const state = join(folder, 'containerd');
    expect(knownToContainerd([state])).toBeUndefined();
    mkdirSync(join(state, 'io.containerd.runtime.v2.task/k8s.io/abc'), { recursive: true });
    mkdirSync(join(state, 'io.containerd.runtime.v2.task/default/demo'), { recursive: true });
    expect([...(knownToContainerd([state, join(folder, 'other')]) ?? [])].sort()).toEqual([
      'abc',
      'default-demo',
      'demo',
      'k8s.io-abc',
    ]);
  });

  test('a list of the living has one id a line', () => {
    expect([...parseKnown('# pods\nabc  web-0\n\n  def\r\n')]).toEqual(['abc', 'def']);
  });

  test('addresses are sorted as numbers, IPv4 first', () => {
    expect(['fd42::2', '10.42.0.10', '10.42.0.9', ''].sort(byAddress)).toEqual([
      '',
      '10.42.0.9',
      '10.42.0.10',
      'fd42::2',
    ]);
  });

  test.each([
    [['install', '--mtu', 'x'], 2, 'It must be a whole number.'],
    [['install', '--subnet', '10.42.0.1/24'], 1, 'Network has host bits set.'],
    [['gc', '--grace', '5y'], 2, 'Write it like 90s, 10m or 1h.'],
    [['gc', '--known', '/nowhere'], 1, 'The list of living containers cannot be read: ENOENT'],
    [['explain'], 2, "Missing required argument 'what'."],
    [['leases', '-o', 'yaml'], 2, 'Allowed choices are text, json.'],
    [['leases', '-n', 'nope'], 1, 'No network "nope" is in'],
    [['frobnicate'], 2, "Unknown command 'frobnicate'."],
  ])('%j ends with %i and one sentence', (args, code, sentence) => {
    const places = args[0] === 'frobnicate' ? [] : ['--conf-dir', confDir];
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'cni', ...args, ...places], {
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd()).not.toContain('\n');
  });

  test.each(['install', 'uninstall', 'status', 'leases', 'gc', 'explain'])(
    '%s has help with examples',
    (verb) => {
      const { status, stdout } = spawnSync(process.execPath, [main, 'cni', verb, '--help'], {
        encoding: 'utf8',
      });
      expect(status).toBe(0);
      expect(stdout).toContain('Examples:\n  kilowire cni ');
      expect(stdout).toContain('-o, --output');
    },
  );
});
