/**
 * `kilowire cni` on a node with pods: installed, listed, explained, collected, uninstalled.
 * @module
 */
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CniWorld, nothing, programs } from './cni-world.ts';
import { end } from './host.ts';

const [compiled] = programs;
const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

describe.skipIf(process.getuid?.() !== 0)('kilowire cni', () => {
  let world: CniWorld;
  let places: readonly string[];
  const id = (letter: string): string => letter.repeat(64);

  beforeAll(() => {
    world = new CniWorld(compiled);
    places = ['--bin-dir', join(world.directory, 'bin'), '--conf-dir', join(world.directory, 'net.d')];
  });
  afterAll(() => world.close());

  const kilowire = (...args: readonly string[]): SpawnSyncReturns<string> =>
    spawnSync('nsenter', [`--net=/run/netns/${world.node}`, process.execPath, main, 'cni', ...args], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, KILOWIRE_CNI_STATE_DIR: join(world.directory, 'state') },
    });
  const ask = (...args: readonly string[]) => {
    const { status, stdout, stderr } = kilowire(...args, ...places, '-o', 'json');
    if (stdout === '') throw new Error(stderr);
    return { status, said: JSON.parse(stdout) };
  };

  test('before it is installed, status says what to do', () => {
    const { status, said } = ask('status');
    expect(status).toBe(1);
    expect(said.problems.map(({ remedy }: { remedy: string }) => remedy)).toEqual([
      'run: kilowire cni install',
      'run: kilowire cni install --subnet 10.42.0.0/24 (the pod subnet of this node)',
    ]);
    const refused = kilowire('install', ...places);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(
      /^kilowire: .* has no conflist of ours yet; say .*--subnet 10\.42\.0\.0\/24\.\n$/,
    );
  });

  test('install shows what it would do, does it, and does it once', () => {
    const flags = ['install', '--subnet', '10.42.0.0/24', '--name', 'kwgnet'];
    const dry = kilowire(...flags, ...places, '--dry-run');
    expect(dry.stdout).toMatch(/would create .*\/bin\/kilowire .*\n.*would create .*loopback/);
    expect(dry.stdout).toContain('    + {\n    +   "cniVersion": "1.0.0"');
    expect(() => readdirSync(join(world.directory, 'bin'))).toThrow();
    expect(ask(...flags).said.steps.map(({ action }: { action: string }) => action)).toEqual([
      'create',
      'create',
      'create',
    ]);
    expect(ask(...flags).said.steps.map(({ action }: { action: string }) => action)).toEqual([
      'keep',
      'keep',
      'keep',
    ]);
    // The world's folders, which install has no flags for.
    const path = join(world.directory, 'net.d/10-kwgnet.conflist');
    const conflist = JSON.parse(readFileSync(path, 'utf8'));
    conflist.plugins[0].ipam.dataDir = join(world.directory, 'leases');
    conflist.plugins[0].stateDir = join(world.directory, 'state');
    writeFileSync(path, JSON.stringify(conflist));
    const { status, said } = ask('status');
    expect(said.problems).toEqual([]);
    expect(status).toBe(0);
    expect(said).toMatchObject({
      winner: '10-kwgnet.conflist',
      networks: [{ name: 'kwgnet', status: '', attachments: { alive: 0, dead: 0, unknown: 0 } }],
    });
  });

  test('a conflist that sorts before ours is said to win', () => {
    const path = join(world.directory, 'net.d/05-other.conflist');
    writeFileSync(path, '{"name":"other","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]}');
    const { status, said } = ask('status');
    expect(status).toBe(1);
    expect(said.problems).toEqual([
      {
        what: 'the runtime takes 05-other.conflist, which sorts before 10-kwgnet.conflist',
        remedy: `rename or remove ${path}`,
      },
    ]);
    spawnSync('rm', [path]);
  });

  const config = () =>
    world.config({ ipMasq: true, runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] } });

  test('leases and explain tell who has what, and why', async () => {
    world.addPod(id('a'));
    await world.ok({
      verb: 'ADD',
      pod: id('a'),
      config: config(),
      env: { CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0' },
    });
    const { said } = ask('leases');
    expect(said.networks).toMatchObject([
      {
        name: 'kwgnet',
        ranges: [{ range: '10.42.0.1-10.42.0.254', total: '253', held: 1, free: '252' }],
        holders: [
          {
            addresses: ['10.42.0.2'],
            containerId: id('a'),
            ifname: 'eth0',
            podName: 'default/web-0',
            life: 'alive',
          },
        ],
      },
    ]);
    expect(kilowire('leases', ...places).stdout).toMatch(
      /10\.42\.0\.2 +aaaaaaaaaaaaa +eth0 +default\/web-0 .*alive/,
    );
    for (const what of ['default/web-0', 'web-0', '10.42.0.2', id('a'), 'aaaaaaaa']) {
      const { status, stdout } = kilowire('explain', what, ...places);
      expect(status).toBe(0);
      expect(stdout).toContain('An ADD for pod default/web-0 at 20');
      expect(stdout).toContain('10.42.0.2 is held for it');
      expect(stdout).toContain('a port of the bridge kube-bridge');
      expect(stdout).toContain('0.0.0.0/0 by way of 10.42.0.1');
      expect(stdout).toContain('What leaves 10.42.0.0/24 is masqueraded');
      expect(stdout).toContain('tcp 8080 to 10.42.0.2 80');
    }
    const { status, stderr } = kilowire('explain', 'nobody', ...places);
    expect([status, stderr]).toEqual([
      1,
      'kilowire: Nothing is attached that is called "nobody", by pod, address, container or interface; "kilowire cni leases" lists what is.\n',
    ]);
  });

  test('explain says what is not as it was made', () => {
    world.onNode('ip', 'link', 'set', 'dev', world.leftovers().veths[0] ?? '', 'nomaster');
    const { status, said } = ask('explain', 'web-0');
    expect(status).toBe(1);
    const wrong = said.attachments[0].findings.filter(
      ({ asExpected }: { asExpected: boolean }) => !asExpected,
    );
    expect(wrong).toMatchObject([
      { what: 'interface', words: expect.stringContaining('no port of the bridge') },
    ]);
  });

  test('uninstall waits for the pods', () => {
    const { status, stderr } = kilowire('uninstall', ...places);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^kilowire: 1 containers are attached still/);
  });

  test('gc keeps what lives, what is young and what it cannot judge, and takes the rest', async () => {
    for (const letter of ['b', 'c', 'd']) {
      world.addPod(id(letter));
      await world.ok({ verb: 'ADD', pod: id(letter), config: world.config({ ipMasq: true }) });
    }
    // b's namespace is gone; c has a process in its own; the lease of another plugin is of today.
    world.removePod(id('b'));
    const sleeper = spawn('nsenter', [`--net=${world.podPath(id('c'))}`, 'sleep', '60']);
    mkdirSync(join(world.directory, 'leases/kwgnet'), { recursive: true });
    writeFileSync(join(world.directory, 'leases/kwgnet/10.42.0.77'), 'foreign\r\neth0');
    try {
      const removed = (said: { networks: { attachments: { containerId: string; remove: boolean }[] }[] }) =>
        said.networks[0]?.attachments.filter(({ remove }) => remove).map(({ containerId }) => containerId);
      expect(removed(ask('gc', '--dry-run').said)).toEqual([id('b')]);
      expect(world.leftovers().state).toHaveLength(4);
      expect(removed(ask('gc').said)).toEqual([id('b')]);
      expect(world.leftovers().state).toHaveLength(3);
      const list = join(world.directory, 'known');
      writeFileSync(list, `# all there is\n${id('c')} web\n${id('a')}\n`);
      expect(removed(ask('gc', '--known', list).said)).toEqual([id('d'), 'foreign']);
      expect(world.leftovers().leases).toHaveLength(2);
      expect(world.podLinks(id('d'))).toEqual(['lo']);
      expect(world.onNode('nft', 'list', 'ruleset')).toContain('8080');
    } finally {
      await end(sleeper);
    }
  });

  test('when the pods are gone it can be uninstalled, and nothing is left', async () => {
    for (const letter of ['a', 'c']) await world.ok({ verb: 'DEL', pod: id(letter), netns: '' });
    expect(world.leftovers()).toEqual(nothing);
    expect(kilowire('uninstall', ...places).stdout).toMatch(
      /deleted .*conflist.*\ndeleted .*kilowire.*\ndeleted .*loopback/,
    );
    expect(readdirSync(join(world.directory, 'bin'))).toEqual([]);
    expect(readdirSync(join(world.directory, 'net.d'))).toEqual([]);
  });
});
