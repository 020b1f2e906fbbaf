/** No branch, choice, address or division of the cipher depends on keys, packets or tags, but for the verdict itself. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { WatSecrets } from './wat-secrets.ts';

const text = readFileSync(new URL('../../../dist/kernel.wat', import.meta.url), 'utf8');
const CIPHER = '$src/aead/kernel/cipher';

function decisionsOf(wat: string, name: string): string[] {
  const secrets = new WatSecrets(wat);
  secrets.follow(name);
  return secrets.decisions;
}

/** A module of one function with these instructions. */
const moduleOf = (...lines: string[]) =>
  ['(module', ' (func $f (param $0 i32) (result i32)', '  (local $1 i32)', ...lines, ' )', ')'].join('\n');

describe('the text of the kernel', () => {
  it('decides nothing by what is in memory while it seals', () => {
    expect(decisionsOf(text, `${CIPHER}/seal`)).toEqual([]);
  });

  it('decides one thing by what is in memory while it opens: the verdict', () => {
    expect(decisionsOf(text, `${CIPHER}/open`)).toEqual(['cipher/open: if']);
  });

  it('decides nothing by keys or messages while it authenticates', () => {
    expect(decisionsOf(text, '$src/aead/kernel/poly1305/authenticate')).toEqual([]);
  });

  it.each(['hash', 'hmac', 'mac'])('decides nothing by keys or messages in %s', (name) => {
    expect(decisionsOf(text, `$src/aead/kernel/blake2s/${name}`)).toEqual([]);
  });

  it('decides nothing by what is in memory while it seals a field of a handshake', () => {
    expect(decisionsOf(text, '$src/aead/kernel/field/sealField')).toEqual([]);
  });

  it('decides one thing by what is in memory while it opens one: the verdict', () => {
    expect(decisionsOf(text, '$src/aead/kernel/field/openField')).toEqual(['field/openField: if']);
  });

  it('is followed into every function of the cipher', () => {
    const secrets = new WatSecrets(text);
    secrets.follow(`${CIPHER}/open`);
    secrets.follow('$src/aead/kernel/field/openField');
    const all = [...text.matchAll(/^ \(func (\$src\/aead\/kernel\/(?:chacha20|poly1305)\S*)/gm)].map(
      ([, name]) => name,
    );
    expect(all.length).toBeGreaterThan(10);
    expect(all.filter((name) => !secrets.followed.includes(name as string))).toEqual([]);
  });

  it('compares tags as two words of 64 bits each, joined before the only branch', () => {
    const open = text.slice(text.indexOf(`(func ${CIPHER}/open `));
    const after = open.slice(open.indexOf('call $src/aead/kernel/poly1305/authenticate'));
    const compare = after.slice(0, after.indexOf(' if\n')).split('\n').slice(1);
    const ops = compare.map((line) => line.trim().split(' ')[0]).filter((op) => op !== '');
    const count = (op: string) => ops.filter((each) => each === op).length;
    expect([count('i64.load'), count('i64.xor'), count('i64.or'), count('i64.ne')]).toEqual([4, 2, 1, 1]);
    const others = ['local.get', 'i32.add', 'i64.const', 'i64.load', 'i64.xor', 'i64.or', 'i64.ne'];
    expect(ops.filter((op) => !others.includes(op as string))).toEqual([]);
    const verdict = after
      .slice(after.indexOf(' if\n'))
      .split('\n')
      .map((line) => line.trim());
    expect(verdict.slice(0, 4)).toEqual(['if', 'i32.const -1', 'return', 'end']);
  });
});

describe('the reader of that text', () => {
  it.each([
    ['if', ['local.get $0', 'i32.load', 'if', 'i32.const 1', 'return', 'end', 'i32.const 0']],
    ['select', ['i32.const 1', 'i32.const 2', 'local.get $0', 'i32.load8_u', 'select']],
    ['i32.load8_u', ['local.get $0', 'i32.load', 'i32.const 8', 'i32.add', 'i32.load8_u']],
    ['i32.rem_u', ['local.get $0', 'i32.load', 'i32.const 8', 'i32.rem_u']],
    [
      'br_if',
      [
        'loop $a',
        'local.get $1',
        'br_if $a',
        'local.get $0',
        'i32.load',
        'local.set $1',
        'end',
        'i32.const 0',
      ],
    ],
  ])('sees a secret decide in %s', (op, lines) => {
    expect(decisionsOf(moduleOf(...lines), '$f')).toEqual([`$f: ${op}`]);
  });

  it('sees it through a call', () => {
    const callee = moduleOf('local.get $0', 'if', 'i32.const 1', 'return', 'end', 'i32.const 0');
    const caller = ' (func $g (param $0 i32) (result i32)\n  local.get $0\n  i32.load\n  call $f\n )\n)';
    expect(decisionsOf(`${callee.slice(0, -2)}\n${caller}`, '$g')).toEqual(['$f: if']);
  });

  it('lets lengths and addresses decide', () => {
    const lines = ['local.get $0', 'if', 'i32.const 1', 'return', 'end', 'local.get $0', 'i32.load'];
    expect(decisionsOf(moduleOf(...lines), '$f')).toEqual([]);
  });
});
