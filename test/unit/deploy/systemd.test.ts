/**
 * Units for machines without, or before, Kubernetes: as systemd reads them, and with flags that exist.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createProgram } from '../../../src/cli/program.ts';

const root = join(import.meta.dirname, '../../..');
const folder = mkdtempSync(join(tmpdir(), 'kilowire-units-'));
afterAll(() => rmSync(folder, { recursive: true }));
const units = readdirSync(join(root, 'deploy/systemd'));
const textOf = (unit: string): string => readFileSync(join(root, 'deploy/systemd', unit), 'utf8');
const hasSystemd = (() => {
  try {
    execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe('systemd units', () => {
  it('are the three that docs name', () =>
    expect(units.toSorted()).toEqual([
      'kilowire-agent.service',
      'kilowire-device@.service',
      'kilowire-mesh.service',
    ]));

  it.skipIf(!hasSystemd)('hold before systemd-analyze verify', () => {
    for (const unit of units)
      writeFileSync(join(folder, unit), textOf(unit).replaceAll('/usr/local/bin/', `${join(root, 'bin')}/`));
    const names = units.map((unit) => join(folder, unit.replace('@.', '@kilo0.')));
    for (const name of names.filter((name) => name.includes('@')))
      writeFileSync(name, readFileSync(name.replace('@kilo0.', '@.'), 'utf8'));
    const args = ['verify', '--man=no', '--recursive-errors=no', ...names];
    let said = '';
    try {
      execFileSync('systemd-analyze', args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
    } catch (error) {
      said = String((error as { stderr?: unknown }).stderr);
    }
    expect(said).toBe('');
  });

  it('call commands with flags that they have', () => {
    const program = createProgram();
    for (const unit of units) {
      const [, command = '', rest = ''] = /^ExecStart=\S+\/kilowire (\S+) (.*)$/m.exec(textOf(unit)) ?? [];
      if (command === '') continue;
      const flags = [...rest.matchAll(/--[a-z-]+/g)].map(([flag]) => flag);
      const known = program.commands.find((each) => each.name() === command)?.options.map(({ long }) => long);
      expect(flags.filter((flag) => known?.includes(flag) !== true)).toEqual([]);
    }
  });
});
