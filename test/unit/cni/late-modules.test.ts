/**
 * What the CNI executable loads only when it is called: the copy of the sources that is compiled.
 * @module
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { copyWithLateModules } from '../../../scripts/late-modules.ts';

const folder = mkdtempSync(join(tmpdir(), 'kwco-late-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('modules that a plain ADD does not need are asked for by what calls them, and imported by none but their like', () => {
  const entry = copyWithLateModules(folder);
  expect(entry).toBe(join(folder, 'src/cni/main.ts'));
  const late = readFileSync(join(folder, 'src/cni/late.ts'), 'utf8');
  const files = [...late.matchAll(/'\.\.\/(.*)'/g)].map(([, file]) => file ?? '');
  expect(files).toContain('cni/verbs/check.ts');
  const call = readFileSync(join(folder, 'src/cni/call.ts'), 'utf8');
  const index = files.indexOf('cni/verbs/check.ts');
  expect(call).toContain(`const check = (...all) => require('./late.ts').m${index}.check(...all);`);
  const sources = readdirSync(join(folder, 'src'), { recursive: true, encoding: 'utf8' });
  for (const file of sources.filter((path) => path.endsWith('.ts') && !files.includes(path))) {
    const text = readFileSync(join(folder, 'src', file), 'utf8');
    for (const [, path = ''] of text.matchAll(/^import \{[^}]*\} from '(.*)';$/gm)) {
      const target = new URL(path, `file:///${file}`).pathname.slice(1);
      expect(files.includes(target), `${file} imports ${path}`).toBe(false);
    }
  }
});

test('the sources themselves import them as ever', () => {
  const call = readFileSync(new URL('../../../src/cni/call.ts', import.meta.url), 'utf8');
  expect(call).toContain("import { check } from './verbs/check.ts';");
});
