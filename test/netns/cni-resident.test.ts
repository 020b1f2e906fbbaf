/**
 * The process that stays after an ADD: it answers as a process of its own would, or leaves the work to it.
 * @module
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { residents } from '../../src/cni/resident/place.ts';
import { connectSeqpacket, sendMessage, unixAddress } from '../../src/linux/unix-socket.ts';
import { CniWorld, nothing, programs, resident } from './cni-world.ts';
import { until } from './host.ts';

const [compiled] = programs;
const folder = '/run/kilowire/cni';

describe.skipIf(process.getuid?.() !== 0)('a resident', () => {
  let world: CniWorld;
  beforeAll(() => {
    world = new CniWorld(resident);
    for (const pod of ['x', 'y']) world.addPod(pod);
  });
  afterEach(async () => {
    for (const pod of ['x', 'y']) await world.ok({ verb: 'DEL', pod });
    expect(world.leftovers()).toEqual(nothing);
  });
  afterAll(() => world.close());

  const namespaceOf = ({ node }: CniWorld): number => statSync(`/run/netns/${node}`).ino;

  /** Process ids of those that answer in the node's namespace. */
  const serving = (of = world): readonly number[] =>
    residents().filter(
      (pid) => statSync(`/proc/${pid}/ns/net`, { throwIfNoEntry: false })?.ino === namespaceOf(of),
    );

  const started = async (of = world): Promise<number> => {
    await until('a resident', () => serving(of).length === 1);
    return serving(of)[0] as number;
  };

  const ended = (of = world): Promise<void> => until('its end', () => serving(of).length === 0);

  const stop = async (): Promise<void> => {
    for (const pid of serving()) process.kill(pid, 'SIGKILL');
    await ended();
  };

  test('gives the answers of a process of its own, to every verb and every mistake', async () => {
    const alone = new CniWorld(compiled);
    alone.addPod('x');
    try {
      const answers = await Promise.all(
        [world, alone].map(async (each) => {
          const said: string[] = [];
          const ask = async (verb: string, config = each.config(), env = {}): Promise<string> => {
            const { code, stdout } = await each.call({ verb, pod: 'x', config, env });
            said.push(`${verb} ${code} ${plain(stdout, each)}`);
            return stdout;
          };
          if (each === world) {
            await each.ok({ verb: 'ADD', pod: 'y' });
            await started();
            await each.ok({ verb: 'DEL', pod: 'y' });
            await each.ok({ verb: 'ADD', pod: 'y', ifname: 'lo2' });
            await each.ok({ verb: 'DEL', pod: 'y', ifname: 'lo2' });
          } else {
            each.addPod('y');
            for (let turn = 0; turn < 2; turn += 1) {
              await each.ok({ verb: 'ADD', pod: 'y' });
              await each.ok({ verb: 'DEL', pod: 'y' });
            }
          }
          const portMappings = [{ hostPort: 8080, containerPort: 80 }];
          const config = each.config({ ipMasq: true, runtimeConfig: { portMappings } });
          const prevResult = JSON.parse(await ask('ADD', config));
          await ask('ADD', config);
          await ask('CHECK', { ...config, prevResult });
          await ask('CHECK', { ...config, prevResult: { ...prevResult, ips: [] } });
          for (const verb of ['STATUS', 'VERSION', 'GCC']) await ask(verb);
          await ask(
            'GC',
            each.config({ 'cni.dev/valid-attachments': [{ containerID: 'x', ifname: 'eth0' }] }),
          );
          await ask('ADD', each.config({ mtu: 7 }));
          await ask('ADD', each.config({ resident: 'long' }));
          await ask('ADD', each.config(), { CNI_IFNAME: '' });
          await ask('ADD', each.config(), { CNI_ARGS: 'A=B' });
          await ask('ADD', each.config({ type: 'loopback' }), { CNI_IFNAME: 'lo' });
          await ask('DEL', { ...config, prevResult });
          await ask('DEL', config);
          return said;
        }),
      );
      expect(answers[0]).toEqual(answers[1]);
      expect(answers[0]).toHaveLength(15);
      expect(serving()).toHaveLength(1);
    } finally {
      alone.close();
    }
  });

  /** Without what differs from world to world. */
  const plain = (text: string, { node, directory }: CniWorld): string =>
    text
      .replaceAll(node.replace(/-node$/, ''), 'WORLD')
      .replaceAll(directory, 'DIRECTORY')
      .replaceAll(/0a:59(:[0-9a-f]{2}){4}/g, 'MAC')
      .replaceAll(/"at":"[^"]*"|since [0-9TZ:.-]+/g, 'TIME');

  test('is one, however many start at once, and answers many at once', async () => {
    await stop();
    const pods = Array.from({ length: 16 }, (_, number) => `p${number}`);
    for (const pod of pods) world.addPod(pod);
    const results = await Promise.all(pods.map((pod) => world.ok({ verb: 'ADD', pod })));
    const addresses = results.map(({ ips }) => (ips as { address: string }[])[0]?.address);
    expect(new Set(addresses).size).toBe(pods.length);
    await started();
    await Promise.all(pods.map((pod) => world.ok({ verb: 'DEL', pod })));
    expect(serving()).toHaveLength(1);
    for (const pod of pods) world.removePod(pod);
  });

  test('leaves to the caller what depends on the caller, waits or needs another program', async () => {
    await world.ok({ verb: 'ADD', pod: 'y' });
    const pid = await started();
    const plugin = join(world.directory, 'foreign');
    writeFileSync(plugin, '#!/bin/sh\ncat >/dev/null\necho \'{"ips":[{"address":"10.42.0.77/24"}]}\'\n');
    chmodSync(plugin, 0o755);
    const ipam = { type: 'foreign' };
    const foreign = await world.ok({
      verb: 'ADD',
      pod: 'x',
      config: world.config({ ipam, isDefaultGateway: false }),
      env: { CNI_PATH: world.directory },
    });
    expect(foreign.ips).toMatchObject([{ address: '10.42.0.77/24' }]);
    await world.ok({
      verb: 'DEL',
      pod: 'x',
      config: world.config({ ipam }),
      env: { CNI_PATH: world.directory },
    });
    // Of the caller, who is in the node's namespace: a resident's /proc/self is another one's.
    const own = await world.refused({ verb: 'ADD', pod: 'x', netns: '/proc/self/ns/net' });
    expect(own).toMatchObject({ code: 8 });
    const waits = { enabledad: true, ipam: world.ipam({ ranges: [[{ subnet: 'fd00:10::/64' }]] }) };
    await world.ok({ verb: 'ADD', pod: 'x', config: world.config(waits) });
    expect(serving()).toEqual([pid]);
  });

  test('that is killed at any moment fails no call that a later DEL does not mend', async () => {
    for (let trial = 0; trial < 8; trial += 1) {
      await world.ok({ verb: 'ADD', pod: 'y' });
      const pid = await started();
      const { answer } = world.start({ verb: trial % 2 === 0 ? 'ADD' : 'CHECK', pod: 'x' });
      setTimeout(() => process.kill(pid, 'SIGKILL'), Math.random() * 12);
      const { code, stdout } = await answer;
      // Done, but killed before it could say so: then the one that does it again finds it attached.
      if (trial % 2 === 0 && code !== 0) expect(JSON.parse(stdout)).toMatchObject({ code: 102 });
      await ended();
      for (const pod of ['x', 'y']) await world.ok({ verb: 'DEL', pod });
      expect(world.leftovers(), `trial ${trial}`).toEqual(nothing);
    }
  });

  test('does not answer for another namespace', async () => {
    const other = new CniWorld(resident);
    try {
      other.addPod('x');
      await world.ok({ verb: 'ADD', pod: 'x' });
      await started();
      expect(serving(other)).toEqual([]);
      await other.ok({ verb: 'ADD', pod: 'x' });
      const pid = await started(other);
      expect(serving()).not.toContain(pid);
      expect(other.links().filter(({ kind }) => kind === 'veth')).toHaveLength(1);
      expect(world.links().filter(({ kind }) => kind === 'veth')).toHaveLength(1);
      await other.ok({ verb: 'DEL', pod: 'x' });
    } finally {
      other.close();
    }
  });

  test('answers no garbage and no stranger, and goes on', async () => {
    await world.ok({ verb: 'ADD', pod: 'y' });
    const pid = await started();
    const name = ['net', 'mnt', 'pid', 'user'].map((kind) => linkOf(`/proc/${pid}/ns/${kind}`)).join('-');
    const address = unixAddress(`${folder}/${name}`) ?? new Uint8Array();
    const fds = [
      [],
      [0],
      [0x6b, 0x77, 0x72, 0x31, 255, 255, 255, 255],
      Array.from({ length: 20_000 }, () => 7),
    ].map((bytes) => {
      const fd = connectSeqpacket(address);
      sendMessage(fd, Uint8Array.from(bytes));
      return fd;
    });
    // One that never says anything.
    fds.push(connectSeqpacket(address));
    await world.ok({ verb: 'ADD', pod: 'x' });
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(serving()).toEqual([pid]);
    expect(fds).toHaveLength(5);
  });

  test('does nothing for a caller who is not root, or who may do less than it', async () => {
    await world.ok({ verb: 'ADD', pod: 'y' });
    const pid = await started();
    const ask = (...as: string[]): string => {
      const env = {
        CNI_COMMAND: 'ADD',
        CNI_CONTAINERID: 'x',
        CNI_NETNS: world.podPath('x'),
        CNI_IFNAME: 'eth0',
        CNI_PATH: '/',
      };
      const command = [`--net=/run/netns/${world.node}`, 'setpriv', ...as, compiled.command[0]];
      return spawnSync('nsenter', command, { env, input: JSON.stringify(world.config()), encoding: 'utf8' })
        .stdout;
    };
    expect(JSON.parse(ask('--reuid=65534', '--clear-groups'))).toHaveProperty('code');
    // Root by name only: the resident could, so it must not.
    expect(JSON.parse(ask('--bounding-set=-all', '--inh-caps=-all'))).toHaveProperty('code');
    expect(world.podLinks('x')).toEqual(['lo']);
    expect(serving()).toEqual([pid]);
  });

  test('works for callers of its own executable only, and goes when that was replaced', async () => {
    await world.ok({ verb: 'ADD', pod: 'y' });
    await started();
    const newer = join(world.directory, 'kilowire');
    copyFileSync(compiled.command[0], newer);
    changeFingerprint(newer);
    const upgraded = new CniWorld({ ...resident, command: [newer] } as unknown as typeof resident);
    try {
      const config = world.config();
      await upgraded.ok({ verb: 'ADD', pod: 'x', node: world.node, netns: world.podPath('x'), config });
    } finally {
      upgraded.close();
    }
    await ended();
  });

  test('ends by itself when it is not asked for a while, and none starts when none is wanted', async () => {
    await stop();
    await world.ok({ verb: 'ADD', pod: 'x', config: world.config({ resident: 1 }) });
    const pid = await started();
    await ended();
    await until('the end of the process', () => !existsSync(`/proc/${pid}/exe`));
    await world.ok({ verb: 'ADD', pod: 'y', config: world.config({ resident: 0 }) });
    await world.ok({ verb: 'DEL', pod: 'y', config: world.config({ resident: 0 }) });
    expect(serving()).toEqual([]);
  });

  test('does not outlive its namespace', async () => {
    const other = new CniWorld(resident);
    other.addPod('x');
    await other.ok({ verb: 'ADD', pod: 'x' });
    const pid = await started(other);
    other.close();
    await until('the end of the process', () => !existsSync(`/proc/${pid}/exe`));
  });
});

const linkOf = (path: string): string => {
  const kind = path.split('/').pop() ?? '';
  return `${kind}:[${statSync(path).ino}]`;
};

/** Of the copy: as if it were another build. x86-64 has the number behind the instruction "movabs rax" (48 b8). */
function changeFingerprint(path: string): void {
  const file = readFileSync(path);
  const magic = file.lastIndexOf(Buffer.from('kwr1'));
  const at = file.indexOf(Buffer.from([0x48, 0xb8]), magic) + 2;
  const fd = openSync(path, 'r+');
  writeSync(fd, Uint8Array.of((file[at] ?? 0) ^ 1), 0, 1, at);
  closeSync(fd);
}
