/**
 * Debian's containerd calls the executable: sandboxes as kubelet asks for them, `ctr run --cni`, k3s' folders, a killed
 * containerd, a reboot. What a kubelet does after each is in the specification of the Container Runtime Interface.
 * @module
 */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniLab, nothing } from './cni-lab.ts';
import { Containerd, type ContainerdPaths, k3sPaths, usualPaths } from './containerd.ts';
import type { CriClient } from './cri-client.ts';
import { has, isRoot } from './host.ts';
import { newestContainerd } from './toolchains.ts';

const tools = ['containerd', 'ctr', 'runc', 'busybox', 'unshare', 'nsenter', 'ip', 'nft', 'curl', 'ping'];
const missing = tools.filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping containerd: not on this machine: ${missing.join(', ')}`);

const newest = isRoot && missing.length === 0 ? await newestContainerd() : undefined;

/** `folder`: of a containerd that is not Debian's. */
const runtimes: { name: string; paths: ContainerdPaths; folder?: string }[] = [
  { name: 'in its usual folders', paths: usualPaths },
  { name: 'in the folders of k3s', paths: k3sPaths },
  ...(newest === undefined
    ? []
    : [{ name: '2, its newest release, as in k3s', paths: k3sPaths, folder: newest }]),
];

const entry = {
  type: 'kilowire',
  bridge: 'cni0',
  isDefaultGateway: true,
  forceAddress: true,
  hairpinMode: true,
  ipMasq: true,
  mtu: 1450,
  capabilities: { portMappings: true, 'io.kubernetes.cri.pod-annotations': true },
};

const conflist = (subnet: string): string =>
  JSON.stringify({
    cniVersion: '1.0.0',
    cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
    name: 'cbr0',
    plugins: [{ ...entry, ipam: { type: 'host-local', ranges: [[{ subnet }]] } }],
  });

async function open(
  paths: ContainerdPaths,
  subnet: string,
  folder?: string,
): Promise<{ lab: CniLab; containerd: Containerd; client: CriClient }> {
  const lab = new CniLab();
  await lab.ready();
  lab.install(paths.executables, 'kilowire', 'loopback');
  lab.write(join(paths.configuration, '10-kilowire.conflist'), conflist(subnet));
  const containerd = new Containerd(lab, paths, folder);
  const client = await containerd.start();
  containerd.importImage();
  return { lab, containerd, client };
}

/** What kubelet sends when a pod goes: it asks for the end twice. */
async function end(client: CriClient, id: string): Promise<void> {
  await client.stopPodSandbox(id);
  await client.stopPodSandbox(id);
  await client.removePodSandbox(id);
}

/** The pods that a test which failed has left: the next one needs their names. */
function clearAfterFailure(clientOf: () => CriClient): void {
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return;
    const client = clientOf();
    const ids = await client.sandboxes().catch(() => []);
    for (const id of ids) await end(client, id).catch(() => undefined);
  });
}

describe.skipIf(!isRoot || missing.length > 0)('containerd', () => {
  describe.each(runtimes)('$name', ({ paths, folder }) => {
    let lab: CniLab;
    let containerd: Containerd;
    let client: CriClient;
    beforeAll(async () => {
      ({ lab, containerd, client } = await open(paths, '10.42.0.0/24', folder));
    });
    afterAll(async () => {
      containerd?.close();
      await lab?.close();
    });
    clearAfterFailure(() => client);

    test('finds its network ready', async () => {
      expect(await client.networkTrouble()).toBe('');
    });

    test('runs pods that reach each other, and takes them down without a trace', async () => {
      const ids = await Promise.all(
        ['a', 'b'].map((name) => client.runPodSandbox(name, { cgroup: lab.cgroup })),
      );
      const [a = '', b = ''] = await Promise.all(ids.map(async (id) => (await client.status(id)).ip));
      expect(a).toMatch(/^10\.42\.0\.\d+$/);
      expect(b).toMatch(/^10\.42\.0\.\d+$/);
      expect(a).not.toBe(b);
      expect(containerd.inside(a, 'ping', '-c', '2', '-W', '2', b)).toContain(' 0% packet loss');
      expect(containerd.inside(b, 'curl', '-s', '-m', '5', `http://${a}/cgi-bin/name`).trim()).toBe('a');
      // Through its own host port's neighbour, the loopback that the runtime asked us for.
      expect(containerd.inside(a, 'curl', '-s', '-m', '5', 'http://127.0.0.1/cgi-bin/name').trim()).toBe('a');
      for (const id of ids) await end(client, id);
      expect(lab.leftovers('cbr0')).toEqual(nothing);
    });

    test('host ports answer from the node, from a pod, and not after the pod', async () => {
      const id = await client.runPodSandbox('web', {
        cgroup: lab.cgroup,
        ports: [{ container: 80, host: 8080 }],
      });
      const other = await client.runPodSandbox('other', { cgroup: lab.cgroup });
      const { ip } = await client.status(id);
      const { ip: otherIp } = await client.status(other);
      const ask = ['-s', '-m', '5'];
      expect(lab.run('curl', ...ask, 'http://10.42.0.1:8080/cgi-bin/name').trim()).toBe('web');
      expect(lab.run('curl', ...ask, 'http://127.0.0.1:8080/cgi-bin/name').trim()).toBe('web');
      expect(containerd.inside(otherIp, 'curl', ...ask, 'http://10.42.0.1:8080/cgi-bin/name').trim()).toBe(
        'web',
      );
      expect(containerd.inside(ip, 'curl', ...ask, 'http://10.42.0.1:8080/cgi-bin/name').trim()).toBe('web');
      await end(client, id);
      expect(() => lab.run('curl', ...ask, 'http://10.42.0.1:8080/cgi-bin/name')).toThrow();
      await end(client, other);
      expect(lab.leftovers('cbr0')).toEqual(nothing);
    });

    test('twenty pods at once have twenty addresses, and go at once', async () => {
      const names = Array.from({ length: 20 }, (_, index) => `many${index}`);
      const ids = await Promise.all(names.map((name) => client.runPodSandbox(name, { cgroup: lab.cgroup })));
      const addresses = await Promise.all(ids.map(async (id) => (await client.status(id)).ip));
      expect(new Set(addresses).size).toBe(20);
      await Promise.all(ids.map((id) => end(client, id)));
      expect(lab.leftovers('cbr0')).toEqual(nothing);
    });
  });

  describe('ctr run --cni', () => {
    let lab: CniLab;
    let containerd: Containerd;
    beforeAll(async () => {
      ({ lab, containerd } = await open(usualPaths, '10.42.0.0/24'));
    });
    afterAll(async () => {
      containerd?.close();
      await lab?.close();
    });

    test('gives a container an address and the way out, and leaves nothing', () => {
      const script = 'ip -4 addr show eth0; ip route; ping -c1 -W2 10.42.0.1';
      const rootfs = join(lab.folder, 'rootfs');
      const options = [
        '--rm',
        '--cni',
        '--cgroup',
        `${lab.cgroup}/ctr`,
        '--env',
        'PATH=/bin',
        '--rootfs',
        rootfs,
      ];
      const said = lab.run('ctr', 'run', ...options, 'demo', '/bin/sh', '-c', script);
      expect(said).toMatch(/inet 10\.42\.0\.\d+\/24/);
      expect(said).toContain('default via 10.42.0.1');
      expect(said).toContain(' 0% packet loss');
      expect(lab.leftovers('cbr0')).toEqual(nothing);
    });
  });

  describe('that dies', () => {
    let lab: CniLab;
    let containerd: Containerd;
    let client: CriClient;
    beforeAll(async () => {
      ({ lab, containerd, client } = await open(usualPaths, '10.42.0.0/24'));
    });
    afterAll(async () => {
      containerd?.close();
      await lab?.close();
    });
    clearAfterFailure(() => client);

    test('while it starts pods: those it remembers go by DEL, the rest by GC', async () => {
      const survivor = await client.runPodSandbox('survivor', { cgroup: lab.cgroup });
      const { ip } = await client.status(survivor);
      const starting = Array.from({ length: 10 }, (_, index) =>
        client.runPodSandbox(`dying${index}`, { cgroup: lab.cgroup }).catch(() => ''),
      );
      await new Promise((resolve) => setTimeout(resolve, 400));
      containerd.kill();
      await Promise.all(starting);
      client = await containerd.start();
      expect(containerd.inside(ip, 'ping', '-c', '1', '-W', '2', '10.42.0.1')).toContain(' 0% packet loss');
      for (const id of await client.sandboxes()) if (id !== survivor) await end(client, id);
      const next = await client.runPodSandbox('next', { cgroup: lab.cgroup });
      expect((await client.status(next)).ip).not.toBe(ip);
      // containerd forgets a pod whose network it had not finished, and never calls GC: a later runtime, or we, do.
      const alive = [survivor, next].map((id) => ({ containerID: id, ifname: 'eth0' }));
      const config = {
        ...JSON.parse(conflist('10.42.0.0/24')).plugins[0],
        name: 'cbr0',
        cniVersion: '1.1.0',
      };
      writeFileSync(
        join(lab.folder, 'gc.json'),
        JSON.stringify({ ...config, 'cni.dev/valid-attachments': alive }),
      );
      const gc = { CNI_COMMAND: 'GC', CNI_PATH: '/opt/cni/bin' };
      lab.runWith(gc, 'sh', '-c', `/opt/cni/bin/kilowire < ${lab.folder}/gc.json`);
      expect(lab.leftovers('cbr0').leases).toHaveLength(2);
      expect(lab.leftovers('cbr0').veths).toHaveLength(2);
      for (const id of [survivor, next]) await end(client, id);
      expect(lab.leftovers('cbr0')).toEqual(nothing);
    });
  });

  describe('on a node that reboots', () => {
    let lab: CniLab;
    let containerd: Containerd;
    let client: CriClient;
    beforeAll(async () => {
      // Room for five pods.
      ({ lab, containerd, client } = await open(usualPaths, '10.42.0.0/29'));
    });
    afterAll(async () => {
      containerd?.close();
      await lab?.close();
    });
    clearAfterFailure(() => client);

    async function reboot(): Promise<void> {
      lab.killAll();
      for (const name of lab.files('/run/netns')) {
        lab.run('umount', '-l', `/run/netns/${name}`);
        lab.run('rm', `/run/netns/${name}`);
      }
      lab.run('sh', '-c', 'umount -l $(grep -o "/run/containerd[^ ]*" /proc/mounts) 2>/dev/null; true');
      lab.run('rm', '-rf', '/run/containerd');
      lab.run('ip', 'link', 'del', 'cni0');
      lab.run('nft', 'flush', 'ruleset');
      const bootId = join(lab.folder, 'boot_id');
      writeFileSync(bootId, `${randomUUID()}\n`);
      lab.run('mount', '--bind', bootId, '/proc/sys/kernel/random/boot_id');
      client = await containerd.start();
    }

    test('what ran before is taken down, what comes after has the addresses', async () => {
      const before = await Promise.all(
        ['a', 'b', 'c'].map((name) => client.runPodSandbox(name, { cgroup: lab.cgroup })),
      );
      await reboot();
      expect([...(await client.sandboxes())].sort()).toEqual([...before].sort());
      for (const id of before) await end(client, id);
      expect(lab.leftovers('cbr0')).toEqual(nothing);
      const after = await client.runPodSandbox('d', { cgroup: lab.cgroup });
      expect(containerd.inside((await client.status(after)).ip, 'ping', '-c', '1', '10.42.0.1')).toContain(
        ' 0% packet loss',
      );
      await end(client, after);
      expect(lab.leftovers('cbr0')).toEqual(nothing);
    });

    test('and whose runtime forgot its pods: their addresses are free all the same', async () => {
      await Promise.all(
        ['a', 'b', 'c', 'd', 'e'].map((name) => client.runPodSandbox(name, { cgroup: lab.cgroup })),
      );
      await expect(client.runPodSandbox('full', { cgroup: lab.cgroup })).rejects.toThrow(/no IP addresses/);
      await forget();
      const ids = await Promise.all(
        ['f', 'g', 'h', 'i', 'j'].map((name) => client.runPodSandbox(name, { cgroup: lab.cgroup })),
      );
      const addresses = await Promise.all(ids.map(async (id) => (await client.status(id)).ip));
      expect(new Set(addresses).size).toBe(5);
      for (const id of ids) await end(client, id);
      expect(lab.leftovers('cbr0')).toEqual(nothing);
    });

    /** A reboot after which containerd's own state is gone too. */
    async function forget(): Promise<void> {
      lab.killAll();
      lab.run('sh', '-c', 'rm -rf /var/lib/containerd/*; rm -rf /var/lib/cni/results');
      await reboot();
      containerd.importImage();
    }
  });
});
