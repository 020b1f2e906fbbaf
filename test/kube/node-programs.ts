/**
 * What every node runs: containerd, kubelet and kube-proxy, with the files and arguments that k3s gives them.
 * Source: containerd's configuration versions 2 (releases 1) and 3 (releases 2), kubelet.config.k8s.io/v1beta1.
 * @module
 */
import { existsSync } from 'node:fs';
import type { KubeBinaries } from './binaries.ts';
import { type CniFolders, image, networks, nodeAddress, paths } from './layout.ts';
import type { Machine } from './machine.ts';

export type ProxyMode = 'iptables' | 'nftables' | 'none';

const containerdRoot = `${paths.agent}/containerd`;

const common = `root = "${containerdRoot}"
state = "/run/k3s/containerd"
[grpc]
  address = "${paths.containerdSocket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${containerdRoot}"
`;

// Without CAP_SYS_RESOURCE, which virtual machines may lack, a lower oom_score_adj is refused.
const restricted = `restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true`;

const version2 = ({ executables, configuration }: CniFolders): string => `version = 2
${common}[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${image}"
  ${restricted}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${executables}"
    conf_dir = "${configuration}"
`;

const version3 = ({ executables, configuration }: CniFolders): string => `version = 3
${common}[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${image}"
[plugins."io.containerd.cri.v1.runtime"]
  ${restricted}
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["${executables}"]
    conf_dir = "${configuration}"
`;

const kubeletConfiguration = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1',
  kind: 'KubeletConfiguration',
  address: '0.0.0.0',
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: true },
    x509: { clientCAFile: `${paths.agent}/client-ca.crt` },
  },
  authorization: { mode: 'Webhook' },
  cgroupDriver: 'cgroupfs',
  clusterDNS: [networks.dns],
  clusterDomain: 'cluster.local',
  containerRuntimeEndpoint: `unix://${paths.containerdSocket}`,
  evictionHard: { 'imagefs.available': '1%', 'nodefs.available': '1%' },
  failCgroupV1: false,
  failSwapOn: false,
  healthzBindAddress: '127.0.0.1',
  resolvConf: '/etc/resolv.conf',
  serializeImagePulls: false,
  staticPodPath: `${paths.agent}/pod-manifests`,
  tlsCertFile: `${paths.agent}/serving-kubelet.crt`,
  tlsPrivateKeyFile: `${paths.agent}/serving-kubelet.key`,
  volumePluginDir: '/var/lib/kubelet/volume-plugins',
};

export interface NodePrograms {
  readonly binaries: KubeBinaries;
  readonly cni: CniFolders;
  readonly proxy: ProxyMode;
  readonly kubeletArguments: readonly string[];
  /** 1 for IPv4, 2 for both. */
  readonly families: number;
  /** Folder of a containerd 2 and its shim; without it the machine's own is taken. */
  readonly containerd?: string;
  /** An archive of the image every container is made of. */
  readonly imageArchive: string;
}

/** containerd, with the image. */
export async function startContainerd(machine: Machine, programs: NodePrograms): Promise<void> {
  const { containerd: folder, cni, imageArchive } = programs;
  machine.write(paths.containerdConfig, folder === undefined ? version2(cni) : version3(cni));
  machine.write(`${paths.agent}/pod-manifests/.keep`, '');
  // Its shim is looked for beside it, and runc in PATH.
  const path = `PATH=${folder === undefined ? '' : `${folder}:`}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  machine.start('containerd', 'env', path, 'containerd', '--config', paths.containerdConfig);
  for (let tries = 0; ; tries += 1) {
    try {
      if (existsSync(machine.path(paths.containerdSocket))) {
        await machine.exec('ctr', 'images', 'import', imageArchive);
        return;
      }
    } catch (error) {
      if (tries > 100) throw error;
    }
    if (tries > 300)
      throw new Error(`${machine.name}: containerd does not start: ${machine.log('containerd')}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export function startKubelet(machine: Machine, programs: NodePrograms): void {
  const { binaries, proxy, kubeletArguments, families } = programs;
  machine.write(paths.kubeletConfig, JSON.stringify(kubeletConfiguration));
  const { name } = machine;
  const address = [machine.address, machine.address6].slice(0, families).join(',');
  const kubelet = ['--kubeconfig', paths.kubeletKubeconfig, '--config', paths.kubeletConfig];
  const identity = ['--hostname-override', name, '--node-ip', address, '--cert-dir', '/var/lib/kubelet/pki'];
  machine.start('kubelet', binaries.hyperkube, 'kubelet', ...kubelet, ...identity, ...kubeletArguments);
  if (proxy === 'none') return;
  // The limits of connection tracking are the whole machine's: not touched.
  const limits = ['--conntrack-max-per-core=0', '--conntrack-tcp-timeout-established=0s'];
  const more = [
    '--conntrack-tcp-timeout-close-wait=0s',
    `--cluster-cidr=${networks.pods.slice(0, families)}`,
  ];
  const where = [`--proxy-mode=${proxy}`, `--hostname-override=${name}`, '--healthz-bind-address=127.0.0.1'];
  const flags = [`--kubeconfig=${paths.proxyKubeconfig}`, ...where, ...limits, ...more];
  machine.start('kube-proxy', binaries.hyperkube, 'kube-proxy', ...flags);
}

/** Stands in for the load balancer of a k3s agent: 127.0.0.1:6444 is the API server. */
export function startLoadBalancer(machine: Machine): void {
  const target = nodeAddress(0);
  machine.net('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet');
  machine.net(
    'nft',
    `table ip k3s-load-balancer {
      chain output {
        type nat hook output priority -100
        ip daddr 127.0.0.1 tcp dport 6444 dnat to ${target}:6443
      }
      chain postrouting {
        type nat hook postrouting priority 100
        ip saddr 127.0.0.0/8 ip daddr ${target} masquerade
      }
    }`,
  );
}
