/**
 * Debian's podman with its CNI backend calls the executable. podman reads the conflist itself and knows subnets and
 * static addresses only of a first plugin called `bridge`, so that is the name it is installed under here.
 * @module
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CniLab, makeRootfs, nothing } from './cni-lab.ts';
import { has, isRoot, until } from './host.ts';

const tools = ['podman', 'conmon', 'runc', 'busybox', 'unshare', 'nsenter', 'ip', 'nft', 'curl'];
const missing = tools.filter((name) => !has(name));
if (missing.length > 0) console.log(`skipping podman: not on this machine: ${missing.join(', ')}`);

const conflist = {
  cniVersion: '0.4.0',
  name: 'labnet',
  plugins: [
    {
      type: 'bridge',
      bridge: 'cni-podman0',
      isGateway: true,
      isDefaultGateway: true,
      ipMasq: true,
      hairpinMode: true,
      capabilities: { portMappings: true, ips: true, mac: true },
      ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/16', gateway: '10.88.0.1' }]] },
    },
  ],
};

const containersConf = `
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
default_network = "labnet"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
[containers]
seccomp_profile = "unconfined"
apparmor_profile = ""
`;

describe.skipIf(!isRoot || missing.length > 0)('podman', () => {
  let lab: CniLab;
  let rootfs = '';
  beforeAll(async () => {
    lab = new CniLab();
    await lab.ready();
    lab.install('/opt/cni/bin', 'bridge');
    lab.write('/etc/cni/net.d/87-labnet.conflist', JSON.stringify(conflist));
    lab.write('/run/containers.conf', containersConf);
    lab.write('/etc/containers/policy.json', '{"default":[{"type":"insecureAcceptAnything"}]}');
    rootfs = makeRootfs(lab.folder);
    mkdirSync(join(rootfs, 'www'), { recursive: true });
  });
  afterAll(async () => lab?.close());

  const podman = (...args: string[]): string =>
    lab.runWith(
      { CONTAINERS_CONF: '/run/containers.conf', HOME: lab.folder },
      'podman',
      ...['--root', '/run/pod/root', '--runroot', '/run/pod/run', '--storage-driver', 'vfs'],
      ...['--network-config-dir', '/etc/cni/net.d', ...args],
    );

  const start = (name: string, ...options: string[]): string =>
    podman(
      ...['run', '-d', '--name', name, '--hostname', name, '--cgroup-parent', lab.cgroup, ...options],
      ...['--rootfs', `${rootfs}:O`, '/bin/httpd', '-f', '-p', '80', '-h', '/etc'],
    );

  // What a test that failed has left.
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') podman('rm', '-f', '-a', '-t', '0');
  });

  test('gives the address and the MAC that were asked for', () => {
    const said = podman(
      ...['run', '--rm', '--cgroup-parent', lab.cgroup],
      ...['--network', 'labnet:ip=10.88.0.77,mac=02:11:22:33:44:55', '--rootfs', `${rootfs}:O`],
      ...['/bin/sh', '-c', 'ip addr show eth0; ping -c1 -W2 10.88.0.1'],
    );
    expect(said).toContain('inet 10.88.0.77/16');
    expect(said).toContain('02:11:22:33:44:55');
    expect(said).toContain(' 0% packet loss');
    expect(lab.leftovers('labnet')).toEqual(nothing);
  });

  test('containers reach each other and are reached by a host port, also after a reload of the network', async () => {
    start('web', '-p', '8088:80');
    start('client');
    const addressOf = (name: string): string =>
      podman('inspect', '-f', '{{(index .NetworkSettings.Networks "labnet").IPAddress}}', name).trim();
    const web = addressOf('web');
    expect(web).toMatch(/^10\.88\.0\.\d+$/);
    const fetch = (url: string): string => lab.run('curl', '-s', '-m', '5', url).trim();
    await until('the web server', () => answers(() => fetch(`http://${web}/hostname`)));
    expect(fetch('http://10.88.0.1:8088/hostname')).toBe('web');
    expect(podman('exec', 'client', '/bin/wget', '-q', '-O', '-', `http://${web}/hostname`).trim()).toBe(
      'web',
    );
    // podman takes the network down and up again under the running container, with the same address.
    podman('network', 'reload', 'web');
    expect(addressOf('web')).toBe(web);
    expect(fetch('http://10.88.0.1:8088/hostname')).toBe('web');
    podman('rm', '-f', '-t', '0', 'web', 'client');
    expect(lab.leftovers('labnet')).toEqual(nothing);
  });
});

function answers(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}
