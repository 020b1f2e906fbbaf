/**
 * `npm run docs`: writes docs/commands.md, and docs/api/*.md from the declarations and docstrings of what the package exports. TypeScript's
 * compiler has no stable API for this, and none is needed: declarations are regular text, one statement an export.
 * @module
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { declarationFile, emitDeclarations, libraries } from './build-library.ts';
import { commandPage } from './command-page.ts';
import { root } from './tree.ts';

interface Declaration {
  readonly name: string;
  readonly kind: 'class' | 'function' | 'value' | 'type';
  /** Markdown. */
  readonly prose: string;
  /** The statement, with the comments of its members. */
  readonly code: string;
}

const headings = { class: 'Classes', function: 'Functions', value: 'Values', type: 'Types' } as const;
const statement =
  /((?:\/\*\*(?:[^*]|\*(?!\/))*\*\/\n)?)export (?:declare )?(?:abstract )?(class|function|const|interface|type) (\w+)/g;

/** A docstring's text: without stars, tags as words. */
function proseOf(comment: string): string {
  return comment
    .replace(/^\/\*\*|\*\/\s*$/g, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .replace(/^@throws /gm, '\nThrows ')
    .replace(/^@returns? /gm, '\nReturns ')
    .replace(/^@module\s*$/gm, '')
    .trim();
}

/** Where a statement that begins at `from` ends: at its closing brace, or at a semicolon outside of all brackets. */
function endOf(text: string, from: number, isBlock: boolean): number {
  let depth = 0;
  for (let i = from; i < text.length; i += 1) {
    const sign = text[i] ?? '';
    if (text.startsWith('/*', i)) i = text.indexOf('*/', i) + 1;
    else if (sign === "'" || sign === '"') i = text.indexOf(sign, i + 1);
    else if ('{(['.includes(sign)) depth += 1;
    else if ('})]'.includes(sign)) {
      depth -= 1;
      if (depth === 0 && isBlock && sign === '}') return i + 1;
    } else if (sign === ';' && depth === 0) return i + 1;
  }
  return text.length;
}

/** Every export a declaration file makes itself. */
function declarationsOf(path: string): Map<string, Declaration> {
  const text = readFileSync(path, 'utf8');
  const found = new Map<string, Declaration>();
  for (const match of text.matchAll(statement)) {
    const [whole, comment = '', keyword = '', name = ''] = match;
    // A file's header is not the docstring of what comes first.
    const prose = comment.includes('@module') ? '' : proseOf(comment);
    const start = match.index + comment.length;
    const isBlock = keyword === 'class' || keyword === 'interface';
    const code = text
      .slice(start, endOf(text, match.index + whole.length, isBlock))
      .replace(/^export (?:declare )?/, '')
      .replace(/\n +#private;/, '');
    const kind =
      keyword === 'class' || keyword === 'function' ? keyword : keyword === 'const' ? 'value' : 'type';
    found.set(name, { name, kind, prose, code });
  }
  return found;
}

/** Everything a library's entry exports, in the order of its lines. */
function exportsOf(entry: string): Declaration[] {
  const text = readFileSync(entry, 'utf8');
  const all = [...declarationsOf(entry).values()];
  for (const [, names = '', from = ''] of text.matchAll(
    /export (?:type )?\{([^}]*)\} from ['"]([^'"]+)['"]/g,
  )) {
    const declared = declarationsOf(join(dirname(entry), from.replace(/\.[jt]s$/, '.d.ts')));
    for (const name of names.split(',').map((word) => word.replace(/^\s*(?:type )?\s*/, '').trim())) {
      if (name === '') continue;
      const declaration = declared.get(name);
      if (declaration === undefined)
        throw new Error(`${entry} exports ${name}, which ${from} does not declare.`);
      all.push(declaration);
    }
  }
  return all;
}

function page(name: string, header: string, exported: readonly Declaration[]): string {
  const lines = [`# kilowire/${name}`, '', header, ''];
  for (const kind of ['class', 'function', 'value', 'type'] as const) {
    const group = exported.filter((declaration) => declaration.kind === kind);
    if (group.length === 0) continue;
    lines.push(`## ${headings[kind]}`, '');
    for (const { name: title, prose, code } of group) {
      lines.push(`### ${title}`, '');
      if (prose !== '') lines.push(prose, '');
      lines.push('```ts', code, '```', '');
    }
  }
  lines.push('Made by `npm run docs` from the docstrings of the sources: change it there.');
  return `${lines.join('\n')}\n`;
}

/** File below docs/api → its text. */
export function apiPages(): Map<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-api-'));
  try {
    emitDeclarations(folder);
    return new Map(
      Object.entries(libraries).map(([name, source]) => {
        const header =
          /^\/\*\*(?:[^*]|\*(?!\/))*\*\//.exec(readFileSync(join(root, source), 'utf8'))?.[0] ?? '';
        const exported = exportsOf(declarationFile(folder, source));
        return [`${name}.md`, page(name, proseOf(header), exported)] as const;
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1]?.endsWith('api-pages.ts') === true) {
  mkdirSync(join(root, 'docs/api'), { recursive: true });
  for (const [name, text] of apiPages()) writeFileSync(join(root, 'docs/api', name), text);
  writeFileSync(join(root, 'docs/commands.md'), commandPage());
}
