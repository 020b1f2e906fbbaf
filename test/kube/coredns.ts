/**
 * CoreDNS with the plugins a cluster's has, built from its Go module into a cache outside the tree. Three minutes of two
 * processors, once.
 * Source: CoreDNS manual, "Compile time enabling or disabling plugins" (a main of one's own that imports them).
 * @module
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { has } from '../netns/host.ts';

const version = '1.12.4';
const plugins = ['errors', 'cache', 'kubernetes', 'forward'];

const MAIN = `package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
${plugins.map((name) => `\t_ "github.com/coredns/coredns/plugin/${name}"`).join('\n')}
)

func init() { dnsserver.Directives = []string{${plugins.map((name) => `"${name}"`).join(', ')}} }

func main() { coremain.Run() }
`;

const cache = process.env.KILOWIRE_TEST_CACHE ?? join(homedir(), '.cache/kilowire-test');
const program = join(cache, `coredns-${version}`);

/** The path of the executable; undefined, and a line that says why, where it cannot be built. */
export async function buildCoreDns(): Promise<string | undefined> {
  if (existsSync(program)) return program;
  if (!has('go')) {
    console.log('skipping CoreDNS: go is not on this machine, which would build it');
    return undefined;
  }
  mkdirSync(cache, { recursive: true });
  const source = mkdtempSync(join(tmpdir(), 'kilowire-coredns-'));
  const go = async (...args: string[]): Promise<unknown> =>
    await promisify(execFile)('go', args, {
      cwd: source,
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' },
      maxBuffer: 16 << 20,
    });
  try {
    writeFileSync(join(source, 'main.go'), MAIN);
    writeFileSync(join(source, 'go.mod'), 'module coredns\n\ngo 1.24\n');
    await go('get', `github.com/coredns/coredns@v${version}`);
    await go('build', '-trimpath', '-ldflags=-s -w', '-o', `${program}.draft`, '.');
    renameSync(`${program}.draft`, program);
    return program;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    console.log(`skipping CoreDNS: ${text.split('\n').slice(0, 6).join(' ')}`);
    return undefined;
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}
