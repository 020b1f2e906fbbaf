/**
 * Other people's programs, built by their own tool chains into a cache outside the tree.
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CompileOptions, compile } from './compile.ts';

/** KILOWIRE_TEST_CACHE moves it. */
const cache = process.env.KILOWIRE_TEST_CACHE ?? join(homedir(), '.cache/kilowire-test');
const bin = join(cache, 'bin');
const wireguardGoModule = 'golang.zx2c4.com/wireguard@latest';

/** Undefined, and a line that says why, when it fails. */
async function build(
  what: string,
  program: string,
  args: readonly string[],
  options: CompileOptions = {},
): Promise<string | undefined> {
  mkdirSync(bin, { recursive: true });
  try {
    return await compile(program, args, { ...options, env: { ...options.env, GOBIN: bin } });
  } catch (error) {
    console.log(`skipping ${what}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}

/** The paths of executables, which are built once. */
async function installed(
  what: string,
  names: readonly string[],
  program: string,
  args: readonly string[],
  options: CompileOptions = {},
): Promise<readonly string[] | undefined> {
  const paths = names.map((name) => join(bin, name));
  if (paths.every((path) => existsSync(path))) return paths;
  return (await build(what, program, args, options)) === undefined ? undefined : paths;
}

/** The folder of wireguard-go's newest source in Go's module cache. */
export async function wireguardGoSource(): Promise<string | undefined> {
  const cwd = mkdtempSync(join(tmpdir(), 'kilowire-go-'));
  try {
    const args = ['mod', 'download', '-json', wireguardGoModule];
    const text = await build('wireguard-go', 'go', args, { cwd });
    return text === undefined ? undefined : (JSON.parse(text) as { Dir: string }).Dir;
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
}

/** wireguard-go's newest source, built. */
export async function newestWireguardGo(): Promise<string | undefined> {
  return (await installed('wireguard-go', ['wireguard'], 'go', ['install', wireguardGoModule]))?.[0];
}

/** boringtun-cli, built. */
export async function boringtun(): Promise<string | undefined> {
  const args = ['install', '--quiet', '--root', cache, 'boringtun-cli'];
  return (await installed('boringtun', ['boringtun-cli'], 'cargo', args))?.[0];
}

/** The newest cnitool, built. */
export async function cnitool(): Promise<string | undefined> {
  const args = ['install', 'github.com/containernetworking/cni/cnitool@latest'];
  return (await installed('cnitool', ['cnitool'], 'go', args))?.[0];
}

/** The newest containerd with its shim, built: the folder they are in. */
export async function newestContainerd(): Promise<string | undefined> {
  const names = ['containerd', 'containerd-shim-runc-v2'];
  const packages = names.map((name) => `github.com/containerd/containerd/v2/cmd/${name}@latest`);
  const args = ['install', '-tags', 'no_btrfs no_zfs no_devmapper', ...packages];
  const paths = await installed('containerd 2', names, 'go', args, { env: { CGO_ENABLED: '0' } });
  return paths === undefined ? undefined : bin;
}

/** Helm, built. */
export async function helm(): Promise<string | undefined> {
  return (await installed('helm', ['helm'], 'go', ['install', 'helm.sh/helm/v3/cmd/helm@v3.17.4']))?.[0];
}

/** Its tags are no versions to Go, which makes one of the commit behind the tag. */
const KILO = 'github.com/squat/kilo/cmd';
const KILO_VERSION = '0.7.0';

/** Kilo's own agent and administrator's program; KILOWIRE_TEST_KG and KILOWIRE_TEST_KGCTL name ready-made ones. */
export async function kilo(): Promise<{ readonly kg: string; readonly kgctl: string } | undefined> {
  const { KILOWIRE_TEST_KG: givenKg, KILOWIRE_TEST_KGCTL: givenKgctl } = process.env;
  if (givenKg && givenKgctl) return { kg: givenKg, kgctl: givenKgctl };
  const packages = ['kg', 'kgctl'].map((name) => `${KILO}/${name}@${KILO_VERSION}`);
  const [kg, kgctl] = (await installed('Kilo', ['kg', 'kgctl'], 'go', ['install', ...packages])) ?? [];
  return kg === undefined || kgctl === undefined ? undefined : { kg, kgctl };
}

/** The program in a folder of this tree that is written with Kubernetes' client library. */
export async function clientGo(source: string): Promise<string | undefined> {
  const program = join(bin, 'kilowire-client-go');
  const made = await build('client-go', 'go', ['build', '-o', program, '.'], { cwd: source });
  return made === undefined ? undefined : program;
}
