/**
 * Installing: what is replaced, what is left alone, what is shown. Executables are scripts that say what ours says.
 * @module
 */
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { conflistText } from '../../../src/cni/admin/conflist.ts';
import {
  difference,
  installedVersion,
  planInstallation,
  planRemoval,
} from '../../../src/cni/admin/installation.ts';
import { findRuntimePaths, parseContainerdPaths } from '../../../src/cni/admin/runtime-paths.ts';

const executable = (path: string, about: string): string => {
  writeFileSync(path, `#!/bin/sh\necho '${about}' >&2\n`);
  chmodSync(path, 0o755);
  return path;
};

const options = {
  name: 'kilowire',
  bridge: 'kube-bridge',
  subnets: ['10.42.0.0/24'],
  mtu: 1420,
  ipMasq: true,
  hairpin: true,
};

describe('installing', () => {
  let folder: string;
  let binDir: string;
  let confDir: string;
  let ours: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kwr-'));
    binDir = join(folder, 'opt/cni/bin');
    confDir = join(folder, 'etc/cni/net.d');
    ours = executable(join(folder, 'kilowire-cni'), 'CNI kilowire plugin v0.1.0: it joins');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const install = (text = conflistText(options), force = false): readonly string[] => {
    const steps = planInstallation({
      binDir,
      confDir,
      executable: ours,
      conflist: { name: 'kilowire', text },
      force,
    });
    for (const step of steps) step.run();
    return steps.map(({ action }) => action);
  };

  test('makes the folders, two executables and a conflist, and nothing else', () => {
    expect(install()).toEqual(['create', 'create', 'create']);
    expect(readdirSync(binDir).sort()).toEqual(['kilowire', 'loopback']);
    expect(readdirSync(confDir)).toEqual(['10-kilowire.conflist']);
    expect(statSync(join(binDir, 'kilowire')).mode & 0o777).toBe(0o755);
    expect(installedVersion(join(binDir, 'loopback'))).toBe('0.1.0');
  });

  test('does nothing the second time', () => {
    install();
    const before = statSync(join(binDir, 'kilowire')).ino;
    expect(install()).toEqual(['keep', 'keep', 'keep']);
    expect(statSync(join(binDir, 'kilowire')).ino).toBe(before);
  });

  test('replaces an older version of ours by a rename', () => {
    mkdirSync(binDir, { recursive: true });
    executable(join(binDir, 'kilowire'), 'CNI kilowire plugin v0.0.9: it joins');
    const before = statSync(join(binDir, 'kilowire')).ino;
    expect(install()).toEqual(['replace', 'create', 'create']);
    expect(statSync(join(binDir, 'kilowire')).ino).not.toBe(before);
    expect(readdirSync(binDir).sort()).toEqual(['kilowire', 'loopback']);
  });

  test("leaves somebody else's loopback alone: it does as well", () => {
    mkdirSync(binDir, { recursive: true });
    executable(join(binDir, 'loopback'), 'CNI loopback plugin v1.1.1');
    expect(install()).toEqual(['create', 'keep', 'create']);
    expect(installedVersion(join(binDir, 'loopback'))).toBe('');
  });

  test("refuses to replace somebody else's kilowire, and has then done nothing", () => {
    mkdirSync(binDir, { recursive: true });
    executable(join(binDir, 'kilowire'), 'something else');
    expect(() => install()).toThrow(
      `${join(binDir, 'kilowire')} is there and is not ours; use another --bin-dir, or --force to replace it.`,
    );
    expect(readdirSync(binDir)).toEqual(['kilowire']);
    expect(install(undefined, true)).toEqual(['replace', 'create', 'create']);
  });

  test('refuses to replace a conflist that says something else, until it is forced', () => {
    install();
    const other = conflistText({ ...options, mtu: 1400 });
    expect(() => install(other)).toThrow(/says something else \(2 lines differ\)/);
    expect(install(other, true)).toEqual(['keep', 'keep', 'replace']);
    expect(readFileSync(join(confDir, '10-kilowire.conflist'), 'utf8')).toBe(other);
  });

  test('takes away what is ours and leaves the rest', () => {
    install();
    writeFileSync(join(confDir, '87-podman.conflist'), '{"name":"podman","plugins":[{"type":"bridge"}]}');
    executable(join(binDir, 'bridge'), 'CNI bridge plugin v1.1.1');
    const steps = planRemoval({ binDir, confDir, attached: 0, force: false });
    for (const step of steps) step.run();
    expect(readdirSync(confDir)).toEqual(['87-podman.conflist']);
    expect(readdirSync(binDir)).toEqual(['bridge']);
    expect(planRemoval({ binDir, confDir, attached: 0, force: false })).toEqual([]);
  });

  test('does not leave attached containers without the plugin that could detach them', () => {
    install();
    expect(() => planRemoval({ binDir, confDir, attached: 3, force: false })).toThrow(
      '3 containers are attached still',
    );
    expect(planRemoval({ binDir, confDir, attached: 3, force: true })).toHaveLength(3);
  });

  test('a missing executable is said before anything is done', () => {
    rmSync(ours);
    expect(() => install()).toThrow(/is not there; build it with "npm run build"/);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the conflist', () => {
  test('has the version old runtimes read, and the newer ones to choose from', () => {
    expect(JSON.parse(conflistText({ ...options, subnets: ['10.42.0.0/24', 'fd42::/64'] }))).toMatchObject({
      cniVersion: '1.0.0',
      cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
      name: 'kilowire',
      plugins: [
        {
          type: 'kilowire',
          bridge: 'kube-bridge',
          isDefaultGateway: true,
          ipMasq: true,
          mtu: 1420,
          capabilities: { portMappings: true },
          ipam: { ranges: [[{ subnet: '10.42.0.0/24' }], [{ subnet: 'fd42::/64' }]] },
        },
      ],
    });
  });

  test.each([
    [{ subnets: ['10.42.0.1/24'] }, /Network has host bits set/],
    [{ subnets: ['10.42.0'] }, /invalid CIDR address: 10\.42\.0/],
    [{ subnets: ['10.42.0.0/24', '10.42.0.128/25'] }, /overlaps/],
    [{ mtu: 3 }, /Invalid MTU 3/],
    [{ bridge: 'a name too long for a link' }, /cannot be the name of a link/],
    [{ name: '../up' }, /"\.\.\/up" cannot be the name of a network/],
  ])('%j is refused', (change, message) => {
    expect(() => conflistText({ ...options, ...change })).toThrow(message);
  });
});

describe('the difference', () => {
  test.each([
    ['', 'a\n', ['+ a']],
    ['a\nb\nc\n', 'a\nc\n', ['  a', '- b', '  c']],
    ['a\nb\n', 'a\nx\nb\n', ['  a', '+ x', '  b']],
    ['a\n', 'b\n', ['- a', '+ b']],
  ])('of %j and %j', (before, after, lines) => {
    expect(difference(before, after)).toEqual(lines);
  });
});

describe("the runtime's folders", () => {
  test.each([
    [
      'containerd 2 as k3s writes it',
      `[plugins.'io.containerd.cri.v1.runtime'.cni]\n  bin_dirs = ["/var/lib/rancher/k3s/data/cni"]\n  conf_dir = "/var/lib/rancher/k3s/agent/etc/cni/net.d"\n`,
      {
        binDir: '/var/lib/rancher/k3s/data/cni',
        confDir: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
      },
    ],
    [
      'containerd 1',
      `version = 2\n[plugins."io.containerd.grpc.v1.cri".cni]\n  bin_dir = "/usr/lib/cni"\n  conf_dir = "/etc/cni/net.d"\n[other]\n  bin_dir = "/no"\n`,
      { binDir: '/usr/lib/cni', confDir: '/etc/cni/net.d' },
    ],
    ['one without CNI', 'version = 2\n[grpc]\n  address = "/x"\n', {}],
  ])('of %s', (_, text, paths) => {
    expect(parseContainerdPaths(text)).toEqual(paths);
  });

  test("k3s' own configuration goes before containerd's, and defaults stand in for what is missing", () => {
    const machine = mkdtempSync(join(tmpdir(), 'kwr-'));
    try {
      expect(findRuntimePaths(machine)).toEqual({
        binDir: '/opt/cni/bin',
        confDir: '/etc/cni/net.d',
        from: '',
      });
      const write = (path: string, text: string) => {
        mkdirSync(join(machine, path, '..'), { recursive: true });
        writeFileSync(join(machine, path), text);
      };
      write('/etc/containerd/config.toml', '[plugins."io.containerd.grpc.v1.cri".cni]\nbin_dir = "/b"\n');
      expect(findRuntimePaths(machine)).toMatchObject({ binDir: '/b', confDir: '/etc/cni/net.d' });
      // --flannel-backend=none: k3s says nothing of CNI.
      const k3s = '/var/lib/rancher/k3s/agent/etc/containerd/config.toml';
      write(k3s, 'version = 3\n');
      expect(findRuntimePaths(machine)).toEqual({
        binDir: '/opt/cni/bin',
        confDir: '/etc/cni/net.d',
        from: k3s,
      });
    } finally {
      rmSync(machine, { recursive: true });
    }
  });
});
