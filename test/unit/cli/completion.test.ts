/**
 * The tab key: what may come next, read off the commands themselves, and the scripts in the shells that are here.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { candidatesFor } from '../../../src/cli/completion-candidates.ts';
import { createProgram } from '../../../src/cli/program.ts';
import { AdminWorld, cli } from '../admin/admin-world.ts';
import { peer, twoRegions } from '../routing/clusters.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const next = (...words: string[]): string[] =>
  candidatesFor(createProgram(), words).words.map(({ word }) => word);

describe('what may come next', () => {
  it('is a command, and none that is hidden', () => {
    expect(next('sho')).toEqual(['showconf']);
    expect(next('')).toContain('status');
    expect(next('')).not.toContain('__complete');
    expect(next('lab', '')).not.toContain('daemon');
    expect(next('showconf', '')).toEqual(['node', 'peer']);
  });

  it('is a flag', () => {
    expect(next('graph', '--fo')).toEqual(['--format']);
    expect(next('showconf', 'node', '--as')).toEqual(['--as-peer']);
    expect(next('agent', '--mesh-g')).toEqual(['--mesh-granularity']);
    expect(next('agent', '--mesh')).toEqual(['--mesh-granularity', '--mesh-file']);
  });

  it("is a flag's value, as a word of its own or behind an equals sign", () => {
    expect(next('graph', '-o', '')).toEqual(expect.arrayContaining(['dot', 'svg', 'mermaid', 'json']));
    expect(next('graph', '--format=m')).toEqual(['--format=mermaid']);
    expect(next('--mesh-granularity', 'f')).toEqual(['full']);
    expect(next('--mesh-granularity', 'full', 'gra')).toEqual(['graph']);
    expect(next('plan', 'annotate', '')).toEqual(['node', 'peer']);
    expect(next('completion', 'z')).toEqual(['zsh']);
  });

  it.each([
    [['showconf', 'node', ''], 'nodes'],
    [['showconf', 'peer', 'l'], 'peers'],
    [['explain', 'a', ''], 'ends'],
    [['explain', 'a', 'b', ''], null],
    [['status', '--interface', ''], 'interfaces'],
    [['graph', '--kubeconfig', ''], 'files'],
    [['plan', '-f', ''], 'files'],
    [['showconf', 'node', 'x', ''], null],
  ])('%j: somebody else lists %s', (words, dynamic) => {
    expect(candidatesFor(createProgram(), words).dynamic).toBe(dynamic);
  });

  it('is of kgctl only what kgctl has', () => {
    const words = candidatesFor(createProgram('kgctl'), ['']).words.map(({ word }) => word);
    expect(words).toEqual(expect.arrayContaining(['connect', 'graph', 'showconf', 'completion']));
    expect(words).not.toContain('lab');
  });
});

describe('the program', () => {
  const world = new AdminWorld();
  beforeAll(async () => {
    await world.start();
    world.fill({ ...twoRegions, peers: [peer('laptop', ['10.5.0.1/32'])] });
  });
  afterAll(() => world.end());

  it('lists nodes and peers of the cluster on the line', async () => {
    const master = ['--master', world.master];
    expect((await cli('__complete', '--', ...master, 'showconf', 'node', 'us-')).stdout).toBe(
      'us-1\nus-2\nus-3\n',
    );
    expect((await cli('__complete', '--', 'showconf', `--master=${world.master}`, 'peer', '')).stdout).toBe(
      'laptop\n',
    );
  });

  it('is silent about what is wrong', async () => {
    const args = ['__complete', '--', '--master', 'http://127.0.0.1:1', 'showconf', 'node', ''];
    expect(await cli(...args)).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  it('knows three shells', async () => {
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { status, stdout } = await cli('completion', shell);
      expect([status, stdout.includes('__complete -- ')]).toEqual([0, true]);
    }
    expect(await cli('completion', 'csh')).toMatchObject({ status: 2, stdout: '' });
  });
});

const has = (shell: string): boolean => {
  try {
    execFileSync('sh', ['-c', `command -v ${shell}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

describe('in a shell', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-completion-'));
  beforeAll(() => {
    const program = `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'src/cli/main.ts')}" "$@"\n`;
    writeFileSync(join(folder, 'kilowire'), program, { mode: 0o755 });
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };

  it.runIf(has('bash'))('bash fills in what is typed', () => {
    const complete = (line: string): string => {
      const script = `
        source <(kilowire completion bash)
        COMP_LINE='${line}' COMP_POINT=${line.length} COMP_WORDBREAKS=' =:'
        _kilowire_complete 2>/dev/null
        echo "\${COMPREPLY[*]}"`;
      return execFileSync('bash', ['-c', script], { encoding: 'utf8', env }).trim();
    };
    expect(complete('kilowire showc')).toBe('showconf');
    expect(complete('kilowire showconf ')).toBe('node peer');
    expect(complete('kilowire graph --format=s')).toBe('svg');
    expect(complete('kilowire graph --format=json ')).toBe('');
  });

  it.runIf(has('zsh'))('zsh can read its script', () => {
    execFileSync('zsh', ['-c', 'compdef() { :; }; source <(kilowire completion zsh)'], { env });
  });

  it.runIf(has('fish'))('fish can read its script', () => {
    execFileSync('fish', ['-c', 'kilowire completion fish | source'], { env });
  });
});
