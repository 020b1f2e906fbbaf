/**
 * CoreDNS with the plugins that a cluster's has, built from its Go module into a cache outside the tree (three minutes of two
 * processors, once), and the image that deploy/ names, made of it.
 * Source: CoreDNS' manual, "Compile Time Enabling or Disabling Plugins": a program of one's own that imports them, in the
 * order of its plugin.cfg.
 * @module
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SETTINGS } from '../../src/deploy/settings.ts';
import { compile } from '../netns/compile.ts';
import { makeImage } from '../netns/oci-image.ts';
import { buildFlags } from './binaries.ts';

/** docker.io/coredns/coredns:VERSION */
export const coreDnsImage = String(SETTINGS['dns.image']?.default);
const [, version = ''] = /:(\d+\.\d+\.\d+)$/.exec(coreDnsImage) ?? [];

/** Directive → package. */
const plugins = {
  reload: 'reload',
  ready: 'ready',
  health: 'health',
  prometheus: 'metrics',
  errors: 'errors',
  loadbalance: 'loadbalance',
  cache: 'cache',
  kubernetes: 'kubernetes',
  loop: 'loop',
  forward: 'forward',
};

const program = `package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
${Object.values(plugins)
  .map((name) => `\t_ "github.com/coredns/coredns/plugin/${name}"`)
  .join('\n')}
)

func main() {
	dnsserver.Directives = []string{${Object.keys(plugins)
    .map((name) => `"${name}"`)
    .join(', ')}}
	coremain.Run()
}
`;

/** KILOWIRE_TEST_CACHE moves it. */
const cache = process.env.KILOWIRE_TEST_CACHE ?? join(homedir(), '.cache/kilowire-test');
const built = join(cache, 'bin', `coredns-${version}`);

/** The path of the executable; undefined, and a line that says why, where it cannot be built. */
export async function buildCoreDns(): Promise<string | undefined> {
  if (existsSync(built)) return built;
  mkdirSync(dirname(built), { recursive: true });
  const source = mkdtempSync(join(tmpdir(), 'kilowire-coredns-'));
  const go = (...args: readonly string[]): Promise<string> =>
    compile('go', args, { cwd: source, minutes: 20, env: { CGO_ENABLED: '0', GOFLAGS: '-mod=mod' } });
  try {
    writeFileSync(join(source, 'main.go'), program);
    await go('mod', 'init', 'kilowire.test/coredns');
    await go('get', `github.com/coredns/coredns@v${version}`);
    await go('build', ...buildFlags(), '-o', `${built}.new`, '.');
    renameSync(`${built}.new`, built);
    return built;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.log(`skipping CoreDNS, which is not built: ${reason}`);
    return undefined;
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}

/** The image by the name that our manifest has, as an archive in `folder`. */
export function coreDnsArchive(folder: string, executable: string): string {
  const rootfs = join(folder, 'coredns');
  mkdirSync(join(rootfs, 'etc/coredns'), { recursive: true });
  copyFileSync(executable, join(rootfs, 'coredns'));
  const archive = join(folder, 'coredns-archive');
  return makeImage(archive, rootfs, coreDnsImage, ['/coredns']);
}
