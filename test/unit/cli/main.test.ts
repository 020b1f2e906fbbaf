/**
 * The command line: help, wrong words, and what is said about them.
 * @module
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const kilowire = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'src/cli/main.ts'), ...args], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, stdout, stderr };
};

describe('kilowire', () => {
  it('shows help with examples for itself and each command', () => {
    for (const args of [['--help'], ['lab', '--help'], ['device', '--help']]) {
      const { status, stdout, stderr } = kilowire(...args);
      expect([status, stderr]).toEqual([0, '']);
      expect(stdout).toContain('Usage: kilowire');
      expect(stdout).toContain('Examples:');
    }
  });

  it('does not show its own inner commands', () => {
    expect(kilowire('lab', '--help').stdout).not.toContain('daemon');
  });

  it('prints the version of the package', () => {
    const { version } = JSON.parse(execFileSync('cat', [join(root, 'package.json')], { encoding: 'utf8' }));
    expect(kilowire('--version')).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each([
    [['--frobnicate'], "Unknown option '--frobnicate'."],
    [['frobnicate'], "Unknown command 'frobnicate'."],
    [['lab', 'chek'], "Lab has no command 'chek'."],
    [['lab', '--nodes', '3'], "Option '--nodes <count>' argument '3' is invalid. It must be 1 or 2."],
    [['lab', 'up', '--mesh-granularity=cross'], 'Allowed choices are full, location.'],
    [['lab', '--nodes', '2', 'down'], '--nodes means nothing to down.'],
    [['device'], "Missing required argument 'interface'. See kilowire device --help."],
    [['client', 'add'], "Missing required argument 'name'. See kilowire client add --help."],
    [['client', 'ad', 'x'], '(Did you mean add?) See kilowire client --help.'],
    [['status', '--outptu', 'json'], '(Did you mean --output?) See kilowire status --help.'],
    [['plan', 'annotate', 'nod', 'x', 'a=b'], '"nod" means nothing to the mesh'],
    [['plan', 'label', 'node', 'x', '=b'], '"=b" is no change: write key=value'],
    [['mesh'], 'Which mesh? Give --file mesh.yaml'],
    [['manifests', '--for', 'openshift'], 'There is no variant "openshift"; there are: k3s,'],
    [['manifests', '--set', 'colour=red'], 'There is no setting "colour"'],
  ])('answers %j with one line and status 2', (args, sentence) => {
    const { status, stdout, stderr } = kilowire(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(sentence);
    expect(stderr.trimEnd()).not.toContain('\n');
  });
});
