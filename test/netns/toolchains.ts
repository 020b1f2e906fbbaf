/**
 * Other people's programs, built by their own tool chains into a cache outside the tree.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { has } from './host.ts';

/** KILOWIRE_TEST_CACHE moves it. */
const cache = process.env.KILOWIRE_TEST_CACHE ?? join(homedir(), '.cache/kilowire-test');
const wireguardGoModule = 'golang.zx2c4.com/wireguard@latest';

/** Runs a tool that may have to download; undefined, and a line that says why, when it fails. */
function build(what: string, program: string, args: readonly string[], cwd?: string): string | undefined {
  if (!has(program)) {
    console.log(`skipping ${what}: ${program} is not on this machine`);
    return undefined;
  }
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 600_000,
      env: { ...process.env, GOBIN: join(cache, 'bin'), GOTOOLCHAIN: 'local' },
      ...(cwd === undefined ? {} : { cwd }),
    });
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    console.log(`skipping ${what}: ${text.split('\n').slice(0, 4).join(' ')}`);
    return undefined;
  }
}

/** The folder of wireguard-go's newest source in Go's module cache. */
export function wireguardGoSource(): string | undefined {
  const outside = mkdtempSync(join(tmpdir(), 'kilowire-go-'));
  try {
    const text = build('wireguard-go', 'go', ['mod', 'download', '-json', wireguardGoModule], outside);
    return text === undefined ? undefined : (JSON.parse(text) as { Dir: string }).Dir;
  } finally {
    rmSync(outside, { recursive: true, force: true });
  }
}

/** wireguard-go's newest source, built. */
export function newestWireguardGo(): string | undefined {
  const program = join(cache, 'bin/wireguard');
  mkdirSync(join(cache, 'bin'), { recursive: true });
  if (existsSync(program)) return program;
  return build('wireguard-go', 'go', ['install', wireguardGoModule]) === undefined ? undefined : program;
}

/** boringtun-cli, built. */
export function boringtun(): string | undefined {
  const program = join(cache, 'bin/boringtun-cli');
  if (existsSync(program)) return program;
  const args = ['install', '--quiet', '--root', cache, 'boringtun-cli'];
  return build('boringtun', 'cargo', args) === undefined ? undefined : program;
}

/** The newest cnitool, built. */
export function cnitool(): string | undefined {
  const program = join(cache, 'bin/cnitool');
  if (existsSync(program)) return program;
  const args = ['install', 'github.com/containernetworking/cni/cnitool@latest'];
  return build('cnitool', 'go', args) === undefined ? undefined : program;
}

/** The newest containerd with its shim, built: the folder they are in. */
export function newestContainerd(): string | undefined {
  const folder = join(cache, 'bin');
  const names = ['containerd', 'containerd-shim-runc-v2'];
  if (names.every((name) => existsSync(join(folder, name)))) return folder;
  const packages = names.map((name) => `github.com/containerd/containerd/v2/cmd/${name}@latest`);
  const tags = 'no_btrfs no_zfs no_devmapper';
  return build('containerd 2', 'go', ['install', '-tags', tags, ...packages]) === undefined
    ? undefined
    : folder;
}

/** Helm, built. */
export function helm(): string | undefined {
  const program = join(cache, 'bin/helm');
  if (existsSync(program)) return program;
  return build('helm', 'go', ['install', 'helm.sh/helm/v3/cmd/helm@v3.17.4']) === undefined
    ? undefined
    : program;
}

/** Its tags are no versions to Go, which makes one of the commit behind the tag. */
const KILO = 'github.com/squat/kilo/cmd';
const KILO_VERSION = '0.7.0';

/** Kilo's own agent and administrator's program; KILOWIRE_TEST_KG and KILOWIRE_TEST_KGCTL name ready-made ones. */
export function kilo(): { readonly kg: string; readonly kgctl: string } | undefined {
  const { KILOWIRE_TEST_KG: givenKg, KILOWIRE_TEST_KGCTL: givenKgctl } = process.env;
  if (givenKg && givenKgctl) return { kg: givenKg, kgctl: givenKgctl };
  const [kg, kgctl] = ['kg', 'kgctl'].map((name) => join(cache, 'bin', name)) as [string, string];
  if (existsSync(kg) && existsSync(kgctl)) return { kg, kgctl };
  const packages = ['kg', 'kgctl'].map((name) => `${KILO}/${name}@${KILO_VERSION}`);
  return build('Kilo', 'go', ['install', ...packages]) === undefined ? undefined : { kg, kgctl };
}

/** The program in a folder of this tree that is written with Kubernetes' client library. */
export function clientGo(source: string): string | undefined {
  const program = join(cache, 'bin/kilowire-client-go');
  mkdirSync(join(cache, 'bin'), { recursive: true });
  const args = ['build', '-o', program, '.'];
  return build('client-go', 'go', args, source) === undefined ? undefined : program;
}
