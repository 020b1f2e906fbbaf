/**
 * The executable as a person or a careless caller meets it, and as `loopback`.
 * @module
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Answer, CniWorld, nothing, programs } from './cni-world.ts';

describe.skipIf(process.getuid?.() !== 0).each(programs)('the command, $name', (program) => {
  let world: CniWorld;
  beforeAll(() => {
    world = new CniWorld(program);
  });
  afterAll(() => world.close());

  const run = (
    env: Record<string, string>,
    stdin: string,
    options: { uid?: number; gid?: number; cwd?: string } = {},
    typed: readonly string[] = [],
  ): Promise<Answer> => {
    const [file = '', ...args] = program.command;
    return new Promise((resolve) => {
      const child = spawn(file, [...args, ...typed], { env: { PATH: '/usr/bin:/bin', ...env }, ...options });
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (chunk) => {
        stdout += chunk;
      });
      child.stderr.on('data', (chunk) => {
        stderr += chunk;
      });
      child.stdin.on('error', () => {});
      child.stdin.end(stdin);
      child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    });
  };

  test('without CNI_COMMAND it says what it is', async () => {
    expect(await run({}, '')).toEqual({
      code: 0,
      signal: null,
      stdout: '',
      stderr: expect.stringMatching(
        /^CNI kilowire plugin v\d.*\nCNI protocol versions supported: 0\.1\.0, 0\.2\.0, 0\.3\.0, 0\.3\.1, 0\.4\.0, 1\.0\.0, 1\.1\.0\n$/,
      ),
    });
  });

  test.each([['--help'], ['add'], ['ADD', 'network.json']])(
    'typed with %s it says the same',
    async (...typed) => {
      const said = await run({}, '', {}, typed);
      expect({ code: said.code, stdout: said.stdout }).toEqual({ code: 0, stdout: '' });
      expect(said.stderr).toMatch(/^CNI kilowire plugin v.*a container runtime calls it with CNI_COMMAND/);
    },
  );

  test('a typing error in the command is told with what there is', async () => {
    const { stdout } = await run({ CNI_COMMAND: 'DELL' }, '');
    expect(JSON.parse(stdout)).toEqual({
      cniVersion: '1.1.0',
      code: 4,
      msg: 'unknown CNI_COMMAND: DELL',
      details: 'it is one of ADD, CHECK, DEL, GC, STATUS, VERSION',
    });
  });

  test('VERSION needs nothing', async () => {
    const { code, stdout } = await run({ CNI_COMMAND: 'VERSION' }, '');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      cniVersion: '1.1.0',
      supportedVersions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'],
    });
  });

  test('VERSION answers in the version it was asked in', async () => {
    const { stdout } = await run({ CNI_COMMAND: 'VERSION' }, '{"cniVersion":"0.4.0"}');
    expect(JSON.parse(stdout)).toMatchObject({ cniVersion: '0.4.0' });
  });

  test.each([
    [{ CNI_COMMAND: 'ADDD' }, '{}', 4, 'unknown CNI_COMMAND: ADDD'],
    [
      { CNI_COMMAND: 'ADD' },
      '{}',
      4,
      'required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH] missing',
    ],
    [
      { CNI_COMMAND: 'GC', CNI_PATH: '/x' },
      '{"cniVersion":"1.1.0","na',
      6,
      /^error unmarshall network config: /,
    ],
    [{ CNI_COMMAND: 'GC', CNI_PATH: '/x' }, '', 6, 'error unmarshall network config: stdin is empty'],
    [{ CNI_COMMAND: 'GC', CNI_PATH: '/x' }, '{"cniVersion":"1.1.0"}', 7, 'missing network name'],
  ])('%o with stdin %j is one error document', async (env, stdin, code, message) => {
    const answer = await run(env, stdin);
    expect(answer.code).toBe(1);
    const said = JSON.parse(answer.stdout);
    expect(said.code).toBe(code);
    if (typeof message === 'string') expect(said.msg).toBe(message);
    else expect(said.msg).toMatch(message);
    expect(said.cniVersion).toBeTypeOf('string');
  });

  test('the error speaks the version of the configuration', async () => {
    const { stdout } = await run(
      { CNI_COMMAND: 'STATUS', CNI_PATH: '/x' },
      '{"cniVersion":"0.4.0","name":"net","type":"kilowire"}',
    );
    expect(JSON.parse(stdout)).toEqual({
      cniVersion: '0.4.0',
      code: 1,
      msg: 'config version does not allow STATUS',
    });
  });

  test('a network namespace that is none is refused', async () => {
    const file = join(world.directory, 'file');
    writeFileSync(file, '');
    expect(await world.refused({ verb: 'ADD', pod: 'x', netns: file })).toMatchObject({
      code: 8,
      msg: `failed to open netns "${file}": it is not a network namespace`,
    });
    expect(await world.refused({ verb: 'ADD', pod: 'x', netns: '/run/netns/nope' })).toMatchObject({
      code: 8,
      msg: 'failed to open netns "/run/netns/nope": failed to Statfs "/run/netns/nope": no such file or directory',
    });
  });

  test('settings in the directory it stands in change nothing', async () => {
    const cwd = join(world.directory, 'cwd');
    mkdirSync(cwd);
    writeFileSync(join(cwd, '.env'), 'CNI_COMMAND=VERSION\n');
    writeFileSync(join(cwd, 'bunfig.toml'), 'preload = ["./boom.ts"]\n');
    writeFileSync(join(cwd, 'boom.ts'), 'throw new Error("boom");\n');
    const { code, stdout, stderr } = await run({}, '', { cwd });
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
    expect(stderr).toMatch(/^CNI kilowire plugin/);
  });

  test.each(['0.2.0', '0.3.1', '1.1.0'])(
    'as loopback, in %s, it brings lo up and down',
    async (cniVersion) => {
      world.addPod('lo');
      world.run('lo', 'ip', 'link', 'set', 'lo', 'down');
      const config = { cniVersion, name: 'cni-loopback', type: 'loopback' };
      const result = await world.ok({ verb: 'ADD', pod: 'lo', ifname: 'lo', config });
      expect(world.run('lo', 'ip', 'link', 'show', 'lo')).toContain('LOOPBACK,UP');
      if (cniVersion === '0.2.0') expect(result).toMatchObject({ ip4: { ip: '127.0.0.1/8' } });
      else
        expect(result).toMatchObject({
          interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: world.podPath('lo') }],
          ips: [{ address: '127.0.0.1/8', interface: 0 }, { address: '::1/128' }],
        });
      if (cniVersion === '1.1.0')
        await world.ok({ verb: 'CHECK', pod: 'lo', ifname: 'lo', config: { ...config, prevResult: result } });
      await world.ok({ verb: 'DEL', pod: 'lo', ifname: 'lo', config });
      expect(world.run('lo', 'ip', 'link', 'show', 'lo')).not.toContain('LOOPBACK,UP');
      await world.ok({ verb: 'DEL', pod: 'lo', ifname: 'lo', config, netns: '' });
      world.removePod('lo');
      await world.ok({ verb: 'DEL', pod: 'lo', ifname: 'lo', config });
      expect(world.leftovers()).toEqual(nothing);
    },
  );

  test('a record that cannot be read is an ADD that did not finish', async () => {
    world.addPod('torn');
    const path = join(world.directory, 'state/kwgnet/torn:eth0.json');
    for (const text of ['', '{"version":1,"contai', '[]']) {
      await world.ok({ verb: 'ADD', pod: 'torn' });
      expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ state: 'done' });
      writeFileSync(path, text);
      await world.ok({ verb: 'DEL', pod: 'torn', netns: '' });
      expect(world.leftovers()).toEqual(nothing);
    }
  });

  test('a record of an earlier boot is taken for what it is', async () => {
    world.addPod('boot');
    const path = join(world.directory, 'state/kwgnet/boot:eth0.json');
    await world.ok({ verb: 'ADD', pod: 'boot' });
    const record = JSON.parse(readFileSync(path, 'utf8'));
    // The node was rebooted: the links are gone, the files are not.
    world.onNode('ip', 'link', 'delete', record.hostVeth);
    writeFileSync(path, JSON.stringify({ ...record, bootId: '00000000-0000-0000-0000-000000000000' }));
    await world.ok({ verb: 'ADD', pod: 'boot' });
    expect(world.leftovers().leases).toHaveLength(1);
    await world.ok({ verb: 'DEL', pod: 'boot' });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('the first ADD after a reboot takes back what nobody will ask to delete any more', async () => {
    const record = (pod: string) => join(world.directory, `state/kwgnet/${pod}:eth0.json`);
    for (const pod of ['r1', 'r2', 'r3']) {
      world.addPod(pod);
      await world.ok({ verb: 'ADD', pod });
    }
    for (const pod of ['r1', 'r2']) {
      const earlier = JSON.parse(readFileSync(record(pod), 'utf8'));
      world.onNode('ip', 'link', 'delete', earlier.hostVeth);
      writeFileSync(
        record(pod),
        JSON.stringify({ ...earlier, bootId: '00000000-0000-0000-0000-000000000000' }),
      );
    }
    writeFileSync(join(world.directory, 'state/.kwgnet.boot'), '00000000-0000-0000-0000-000000000000');
    world.addPod('r4');
    await world.ok({ verb: 'ADD', pod: 'r4' });
    expect(world.leftovers().state).toEqual(['r3:eth0.json', 'r4:eth0.json']);
    expect(world.leftovers().leases).toHaveLength(2);
    world.run('r3', 'ping', '-c1', '-W2', '10.42.0.1');
    await world.ok({ verb: 'DEL', pod: 'r3' });
    await world.ok({ verb: 'DEL', pod: 'r4' });
    expect(world.leftovers()).toEqual(nothing);
  });

  test('a disk that takes nothing is an I/O error, and nothing was done', async () => {
    world.addPod('full');
    const config = world.config({ stateDir: '/proc/kilowire' });
    const told = await world.refused({ verb: 'ADD', pod: 'full', config });
    expect(told.code).toBe(5);
    expect(world.podLinks('full')).toEqual(['lo']);
    expect(world.leftovers()).toEqual(nothing);
  });
});
