/**
 * What a plain ADD does not need, the executable loads when it is first called: a second of two pieces of bytecode.
 * Reading the functions of a module and evaluating it takes a quarter of the runtime's start, called or not.
 *
 * The sources say nothing of it and run under Node as they are. Here they are copied, and in the copy an import of one of
 * these modules becomes functions that ask for it:
 *
 *     import { check } from './verbs/check.ts';    const check = (...all) => require('./late.ts').m1.check(...all);
 *
 * So what the others import from them is called, and nothing else: types and functions, no classes and no values.
 * @module
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { root } from './tree.ts';

const late = [
  'cni/verbs/chained.ts',
  'cni/verbs/check.ts',
  'cni/verbs/del.ts',
  'cni/verbs/gc.ts',
  'cni/verbs/loopback.ts',
  'cni/verbs/status.ts',
  'cni/resident/resident.ts',
  'cni/attachment-nat.ts',
  'cni/duplicate-address.ts',
  'cni/go-name.ts',
  'cni/isolation.ts',
  'cni/resolv-conf.ts',
  'cni/spoof-guard.ts',
  'linux/bridge-vlan.ts',
  'linux/traffic-control.ts',
];
const copied = ['package.json', 'src/cni', 'src/linux'];

/** Copies the sources into the empty `folder`, and answers where their entry is. */
export function copyWithLateModules(folder: string): string {
  for (const path of copied) cpSync(join(root, path), join(folder, path), { recursive: true });
  const sources = join(folder, 'src');
  const modules = late.map((path) => join(sources, path));
  const all = join(sources, 'cni/late.ts');
  const exported = late.map((path, index) => `export * as m${index} from '../${path}';\n`);
  for (const path of readdirSync(sources, { recursive: true, encoding: 'utf8' })) {
    const file = join(sources, path);
    if (path.endsWith('.ts') && !modules.includes(file)) askLater(file, modules, all);
  }
  writeFileSync(all, exported.join(''));
  return join(sources, 'cni/main.ts');
}

function askLater(file: string, modules: readonly string[], all: string): void {
  const text = readFileSync(file, 'utf8');
  const changed = text.replaceAll(
    /^import \{([^}]*)\} from '(\.[^']*)';$/gm,
    (whole, names: string, path: string) => {
      const index = modules.indexOf(resolve(dirname(file), path));
      if (index < 0) return whole;
      const target = relative(dirname(file), all);
      const from = target.startsWith('.') ? target : `./${target}`;
      return names
        .split(',')
        .map((name) => name.trim())
        .filter((name) => name !== '')
        .map((name) => {
          if (name.startsWith('type ')) return `import type { ${name.slice(5)} } from '${path}';`;
          if (!/^[a-z]\w*$/.test(name))
            throw new Error(`${relative(root, path)} is loaded late: ${name} of it cannot be imported`);
          return `const ${name} = (...all) => require('${from}').m${index}.${name}(...all);`;
        })
        .join('\n');
    },
  );
  if (changed !== text) writeFileSync(file, changed);
}
