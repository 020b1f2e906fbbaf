/**
 * Our image and our manifests on a cluster, as a person puts them there.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { version } from '../../src/cli/version.ts';
import { has, root } from '../netns/host.ts';
import type { KubeCluster } from './cluster.ts';
import type { KubeObject } from './kubectl.ts';
import { paths } from './layout.ts';

/** The image for this machine, built; undefined, and a line that says why, when it cannot be. */
export function builtImage(): string | undefined {
  const missing = ['apt-get', 'dpkg-deb', 'tar', 'busybox'].filter((name) => !has(name));
  if (missing.length > 0) {
    console.log(`skipping the image: not on this machine: ${missing.join(', ')}`);
    return undefined;
  }
  const file = join(root, 'dist/release', `kilowire-image-${version()}.tar`);
  try {
    execFileSync(process.execPath, [join(root, 'scripts/release/main.ts'), '--image', '--this-machine'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 300_000,
    });
  } catch (error) {
    console.log(
      `skipping the image: ${error instanceof Error ? error.message.slice(0, 600) : String(error)}`,
    );
    return undefined;
  }
  return existsSync(file) ? file : undefined;
}

/** `ctr image import` on every node, where k3s does the same with what lies in its images folder. */
export async function importImage(cluster: KubeCluster, file: string): Promise<void> {
  for (const { index } of cluster.nodes)
    await cluster.inNode(
      index,
      'ctr',
      '-a',
      paths.containerdSocket,
      '-n',
      'k8s.io',
      'images',
      'import',
      file,
    );
}

/** `kilowire manifests --for k3s --set … | kubectl apply -f -` */
export async function applyManifests(cluster: KubeCluster, ...settings: readonly string[]): Promise<void> {
  const given = settings.flatMap((setting) => ['--set', setting]);
  const program = join(root, 'bin/kilowire');
  const text = execFileSync(program, ['manifests', '--for', 'k3s', '-o', 'json', ...given], {
    encoding: 'utf8',
  });
  await cluster.apply((JSON.parse(text) as { readonly items: readonly object[] }).items);
}

/** The pods of one of our daemons, or of the manifests' CoreDNS. */
export const daemonPods = (
  cluster: KubeCluster,
  component: 'agent' | 'device' | 'dns',
): Promise<readonly KubeObject[]> =>
  cluster.list('pods', '-n', 'kube-system', '-l', `app.kubernetes.io/component=${component}`);

/** What the last containers of our daemons said at the end. */
export async function daemonLogs(cluster: KubeCluster): Promise<string> {
  const pods = [...(await daemonPods(cluster, 'agent')), ...(await daemonPods(cluster, 'device'))];
  const texts = pods.flatMap(({ metadata: { name } }) =>
    [[], ['--previous']].map(async (which) => {
      const args = ['-n', 'kube-system', 'logs', name, '--tail=8', ...which];
      return `${[name, ...which].join(' ')}:\n${await cluster.kubectl(...args).catch(String)}`;
    }),
  );
  return (await Promise.all(texts)).join('\n');
}
