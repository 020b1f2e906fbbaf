/**
 * A real containerd in a lab, spoken to as kubelet speaks to it, and pods that answer on port 80.
 * @module
 */
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CniLab, makeRootfs } from './cni-lab.ts';
import { CriClient } from './cri-client.ts';
import { until } from './host.ts';
import { makeImage } from './oci-image.ts';

export interface ContainerdPaths {
  readonly executables: string;
  readonly configuration: string;
}

export const usualPaths: ContainerdPaths = { executables: '/opt/cni/bin', configuration: '/etc/cni/net.d' };
/** Where k3s puts them. */
export const k3sPaths: ContainerdPaths = {
  executables: '/var/lib/rancher/k3s/data/cni',
  configuration: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
};

const socket = '/run/containerd/containerd.sock';
const image = 'docker.io/kilowire/pause:1';

const common = `root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "${socket}"
`;

/** Of containerd 1. */
const version2 = ({ executables, configuration }: ContainerdPaths): string => `version = 2
${common}[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${image}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${executables}"
    conf_dir = "${configuration}"
`;

/** Of containerd 2. */
const version3 = ({ executables, configuration }: ContainerdPaths): string => `version = 3
${common}[plugins."io.containerd.cri.v1.images"]
  snapshotter = "native"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "${image}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["${executables}"]
    conf_dir = "${configuration}"
`;

export class Containerd {
  readonly #lab: CniLab;
  readonly #folder: string | undefined;
  #client: CriClient | undefined;

  /** `folder` of a containerd 2 and its shim; without it Debian's is taken. */
  constructor(lab: CniLab, paths: ContainerdPaths, folder?: string) {
    this.#lab = lab;
    this.#folder = folder;
    lab.write('/run/containerd.toml', folder === undefined ? version2(paths) : version3(paths));
  }
  /** Starts it, also once more after it was killed. */
  async start(): Promise<CriClient> {
    this.#client?.close();
    // Its shim is looked for beside it, and runc in PATH.
    const path = `${this.#folder === undefined ? '' : `${this.#folder}:`}/usr/sbin:/usr/bin:/sbin:/bin`;
    this.#lab.start('containerd.log', 'env', `PATH=${path}`, 'containerd', '-c', '/run/containerd.toml');
    await until('containerd', () => this.#answers(), 30_000);
    const client = new CriClient(this.#lab.path(socket));
    this.#client = client;
    // It listens before it has read what it knows of its pods.
    for (let tries = 0; ; tries += 1) {
      const ready = await client.sandboxes().then(
        () => true,
        () => false,
      );
      if (ready || tries === 100) return client;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  kill(): void {
    this.#lab.run('kill', '-9', String(this.#lab.pidOf('containerd.log')));
  }

  close(): void {
    this.#client?.close();
  }

  /** The image every sandbox is made of: it serves its own name by HTTP. */
  importImage(): void {
    if (!existsSync(join(this.#lab.folder, 'image.tar'))) this.#makeImage();
    this.#lab.run('ctr', '-n', 'k8s.io', 'image', 'import', join(this.#lab.folder, 'image.tar'));
  }

  #makeImage(): void {
    const rootfs = makeRootfs(this.#lab.folder);
    mkdirSync(join(rootfs, 'www/cgi-bin'), { recursive: true });
    const script = join(rootfs, 'www/cgi-bin/name');
    writeFileSync(script, '#!/bin/sh\necho\nhostname\n');
    chmodSync(script, 0o755);
    const entry = ['/bin/httpd', '-f', '-p', '80', '-h', '/www'];
    makeImage(this.#lab.folder, rootfs, image, entry);
  }

  /** The path of the namespace that holds an address. */
  namespaceOf(ip: string): string {
    const path = this.#lab
      .files('/run/netns')
      .map((name) => `/run/netns/${name}`)
      .find((candidate) =>
        this.#lab.run('nsenter', `--net=${candidate}`, 'ip', '-o', 'address').includes(` ${ip}/`),
      );
    if (path === undefined) throw new Error(`no namespace has ${ip}`);
    return path;
  }

  inside(ip: string, ...command: string[]): string {
    return this.#lab.run('nsenter', `--net=${this.namespaceOf(ip)}`, ...command);
  }

  #answers(): boolean {
    if (!existsSync(this.#lab.path(socket))) return false;
    try {
      this.#lab.run('ctr', 'version');
      return true;
    } catch {
      return false;
    }
  }
}
