/**
 * Kubernetes and kine (k3s' datastore), built from their Go modules into a cache outside the tree: the components in one
 * executable, as k3s has them, called by their names (`hyperkube kubelet …`). Eight minutes of two processors, once.
 * Source: the commands under cmd/ of k8s.io/kubernetes; its go.mod names the modules of its staging folder by path,
 * which only its own tree resolves, so that the module made here names their published versions instead.
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile } from '../netns/compile.ts';

export const kubernetesVersion = '1.35.4';
const kineVersion = '0.16.4';

const components = {
  'kube-apiserver': 'NewAPIServerCommand()',
  'kube-controller-manager': 'NewControllerManagerCommand()',
  'kube-scheduler': 'NewSchedulerCommand()',
  'kube-proxy': 'NewProxyCommand()',
  kubelet: 'NewKubeletCommand(context.Background())',
} as const;

export type Component = keyof typeof components | 'kubectl';

/** Paths of executables. */
export interface KubeBinaries {
  readonly hyperkube: string;
  readonly kine: string;
}

/** KILOWIRE_TEST_CACHE moves it. */
const cache = process.env.KILOWIRE_TEST_CACHE ?? join(homedir(), '.cache/kilowire-test');
const folder = join(cache, `kube-${kubernetesVersion}-kine-${kineVersion}`);
const binaries: KubeBinaries = { hyperkube: join(folder, 'hyperkube'), kine: join(folder, 'kine') };

/** Builds what is not built yet; undefined, and a line that says why, where that cannot be done. */
export async function buildKubernetes(): Promise<KubeBinaries | undefined> {
  if (Object.values(binaries).every((path) => existsSync(path))) return binaries;
  mkdirSync(folder, { recursive: true });
  const source = mkdtempSync(join(tmpdir(), 'kilowire-kube-'));
  try {
    if (!existsSync(binaries.kine)) await buildKine();
    if (!existsSync(binaries.hyperkube)) await buildHyperkube(source);
    return binaries;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.log(`skipping Kubernetes, which is not built: ${reason}`);
    return undefined;
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}

const go = (cwd: string, ...args: readonly string[]): Promise<string> =>
  compile('go', args, { cwd, minutes: 40, env: { CGO_ENABLED: '0', GOBIN: folder, GOFLAGS: '-mod=mod' } });

/** Of go build; nobody debugs what it makes. */
export const buildFlags = (...linker: readonly string[]): readonly string[] => [
  '-trimpath',
  '-buildvcs=false',
  '-gcflags=all=-dwarf=false',
  `-ldflags=${['-s -w', ...linker].join(' ')}`,
];

async function buildKine(): Promise<void> {
  await go(folder, 'install', ...buildFlags(), `github.com/k3s-io/kine@v${kineVersion}`);
}

async function buildHyperkube(source: string): Promise<void> {
  writeFileSync(join(source, 'go.mod'), await goModule(source));
  writeFileSync(join(source, 'main.go'), mainProgram());
  const [major, minor] = kubernetesVersion.split('.');
  const stamps = [
    `-X k8s.io/component-base/version.gitVersion=v${kubernetesVersion}`,
    `-X k8s.io/component-base/version.gitMajor=${major} -X k8s.io/component-base/version.gitMinor=${minor}`,
  ];
  const made = `${binaries.hyperkube}.new`;
  await go(source, 'build', ...buildFlags(...stamps), '-o', made, '.');
  renameSync(made, binaries.hyperkube);
}

interface GoMod {
  readonly Go: string;
  readonly Require: readonly { readonly Path: string; readonly Version: string }[];
  readonly Replace: readonly { readonly Old: { readonly Path: string } }[];
}

async function goModule(source: string): Promise<string> {
  const download = await go(source, 'mod', 'download', '-json', `k8s.io/kubernetes@v${kubernetesVersion}`);
  const { GoMod: path } = JSON.parse(download) as { GoMod: string };
  const { Go, Require, Replace } = JSON.parse(await go(source, 'mod', 'edit', '-json', path)) as GoMod;
  const staged = kubernetesVersion.replace(/^1/, 'v0');
  return [
    'module kilowire.test/kube',
    `go ${Go}`,
    `require k8s.io/kubernetes v${kubernetesVersion}`,
    ...Require.map(({ Path, Version }) => `require ${Path} ${Version}`),
    ...Replace.map(({ Old }) => `replace ${Old.Path} => ${Old.Path} ${staged}`),
    '',
  ].join('\n');
}

function mainProgram(): string {
  const names = Object.keys(components);
  const alias = (name: string): string => name.replaceAll('-', '');
  return `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
${names.map((name) => `	${alias(name)} "k8s.io/kubernetes/cmd/${name}/app"`).join('\n')}
)

func main() {
	commands := map[string]func() *cobra.Command{
${Object.entries(components)
  .map(([name, make]) => `		"${name}": func() *cobra.Command { return ${alias(name)}.${make} },`)
  .join('\n')}
		"kubectl": func() *cobra.Command { return kubectl.NewDefaultKubectlCommand() },
	}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "hyperkube COMPONENT ARGUMENTS")
		os.Exit(2)
	}
	name := os.Args[1]
	os.Args = os.Args[1:]
	command := commands[name]()
	if name != "kubectl" {
		os.Exit(cli.Run(command))
	}
	if err := cli.RunNoErrOutput(command); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
`;
}
