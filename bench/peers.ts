/**
 * The programs that are measured: ours, and Debian's wireguard-go, and the newest one, built from its Go module when
 * Go is on the machine, into a cache outside the tree.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Subject } from './daemon.ts';

const command = fileURLToPath(new URL('../bin/kilowire-wg', import.meta.url));

export const ours: Subject = { name: 'kilowire', command };
/** The same with every cipher done by @noble. */
export const oursOnNoble: Subject = {
  name: 'kilowire on noble',
  command,
  environment: { KILOWIRE_CRYPTO: 'noble' },
};

const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'kilowire/bin');

function quietly(program: string, args: readonly string[], environment = process.env): string | undefined {
  try {
    return execFileSync(program, args, {
      encoding: 'utf8',
      env: environment,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch {
    return undefined;
  }
}

const versionOf = (command: string): string =>
  quietly(command, ['--version'])?.match(/v([\d.]+\d)/)?.[1] ?? 'unknown';

/** Debian's; undefined when it is not installed. */
export function debianWireguardGo(): Subject | undefined {
  const command = quietly('sh', ['-c', 'command -v wireguard-go'])?.trim();
  return command ? { name: `wireguard-go ${versionOf(command)}`, command } : undefined;
}

/** The newest release from the Go module proxy; undefined without Go or network. */
export function newestWireguardGo(): Subject | undefined {
  const command = join(cache, 'wireguard');
  if (!existsSync(command)) {
    mkdirSync(cache, { recursive: true });
    const environment = { ...process.env, GOBIN: cache, CGO_ENABLED: '0' };
    quietly('go', ['install', 'golang.zx2c4.com/wireguard@latest'], environment);
  }
  return existsSync(command) ? { name: `wireguard-go ${versionOf(command)}`, command } : undefined;
}
