/**
 * Packet filter rules as text: reading what `iptables-save` prints, and the changes `iptables-restore` takes.
 * Source: iptables-save(8), iptables-restore(8); Kilo's chains and comments, by which its rules are known again.
 * @module
 */
import { type Cidr, formatCidr, network, parseAddress, parseCidr } from '../../noise/ip.ts';
import type { Family, Filter, FilterRule } from '../../routing/nat.ts';

/** A rule as both sides can be brought to. */
export interface TextRule {
  readonly table: string;
  readonly chain: string;
  /** What makes it the same rule. */
  readonly identity: string;
  /** The words after `-A CHAIN`. */
  readonly words: readonly string[];
}

const OWN_CHAINS = ['KILO-NAT', 'KILO-IPIP'];
const OWN_COMMENT = /^Kilo: /;
/** Names protocols(5) has, or had, for number 4. */
const IPIP_NAMES = ['4', 'ipencap', 'ipip', 'ipv4', 'ip-in-ip'];

export interface Saved {
  /** Ours, in order, by `table chain`. */
  readonly rules: ReadonlyMap<string, readonly TextRule[]>;
  /** Own chains that exist, as `table chain`. */
  readonly chains: ReadonlySet<string>;
}

const place = (table: string, chain: string): string => `${table} ${chain}`;

/** What of a listing is the mesh's. */
export const parseSaved = (text: string): Saved => {
  const rules = new Map<string, TextRule[]>();
  const chains = new Set<string>();
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    else if (line.startsWith(':')) {
      const chain = line.slice(1).split(' ')[0] ?? '';
      if (OWN_CHAINS.includes(chain)) chains.add(place(table, chain));
    } else if (line.startsWith('-A ')) {
      const [, chain = '', ...words] = splitWords(line);
      const rule = { table, chain, identity: identityOf(words), words };
      if (!OWN_CHAINS.includes(chain) && !OWN_COMMENT.test(commentOf(words))) continue;
      const key = place(table, chain);
      const there = rules.get(key);
      if (there === undefined) rules.set(key, [rule]);
      else there.push(rule);
    }
  }
  return { rules, chains };
};

/** Words, with quotes and backslashes as iptables-save writes them. */
export const splitWords = (line: string): string[] =>
  [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? '') : quoted.replace(/\\(.)/g, '$1'),
  );

const commentOf = (words: readonly string[]): string => words[words.indexOf('--comment') + 1] ?? '';

/** The same for a rule as it was given and as the kernel tells it. */
const identityOf = (words: readonly string[]): string => {
  const parts: string[] = [];
  const known = new Set(['-p', '-s', '-d', '--comment', '-j', '-m']);
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const value = words[at + 1] ?? '';
    if (!known.has(word)) {
      parts.push(word);
      continue;
    }
    at++;
    if (word === '-m' && value === 'comment') continue;
    if (word === '-p') parts.push(`-p ${IPIP_NAMES.includes(value) ? '4' : value}`);
    else if (word === '-s' || word === '-d') parts.push(`${word} ${networkText(value)}`);
    else parts.push(`${word} ${value}`);
  }
  // A range of everything is not told.
  return parts
    .filter((part) => !/^-[sd] .*\/0$/.test(part))
    .toSorted()
    .join('\n');
};

const networkText = (text: string): string => {
  const address = parseAddress(text);
  const cidr = address === null ? parseCidr(text) : { address, prefix: address.length * 8 };
  return cidr === null ? text : formatCidr(network(cidr));
};

const wordsOf = (rule: FilterRule): string[] => {
  const range = (flag: string, cidr: Cidr | undefined): string[] =>
    cidr === undefined ? [] : [flag, formatCidr(cidr)];
  return [
    ...range('-s', rule.source),
    ...range('-d', rule.destination),
    ...(rule.protocol === undefined ? [] : ['-p', '4']),
    '-m',
    'comment',
    '--comment',
    rule.comment,
    '-j',
    rule.verdict,
  ];
};

/** What a family shall hold, each chain in the order of a listing: what is put at the head comes out reversed. */
export const wantedRules = (filter: Filter, family: Family): ReadonlyMap<string, readonly TextRule[]> => {
  const chains = new Map<string, TextRule[]>();
  const of = (table: string, chain: string): TextRule[] => {
    const key = place(table, chain);
    let rules = chains.get(key);
    if (rules === undefined) {
      rules = [];
      chains.set(key, rules);
    }
    return rules;
  };
  const textRule = (rule: FilterRule): TextRule => {
    const words = wordsOf(rule);
    return { table: rule.table, chain: rule.chain, identity: identityOf(words), words };
  };
  for (const item of filter.append) {
    if (item.family !== family) continue;
    const rules = of(item.table, item.chain);
    if (item.kind === 'rule') rules.push(textRule(item));
  }
  for (const rule of filter.prepend)
    if (rule.family === family) of(rule.table, rule.chain).unshift(textRule(rule));
  return chains;
};

/** The input for iptables-restore --noflush that makes it so; '' when it is. Own chains are written whole, at once. */
export const restoreText = (have: Saved, want: ReadonlyMap<string, readonly TextRule[]>): string => {
  const tables = new Map<string, { chains: string[]; rules: string[]; ends: string[] }>();
  const of = (table: string) => {
    let lines = tables.get(table);
    if (lines === undefined) {
      lines = { chains: [], rules: [], ends: [] };
      tables.set(table, lines);
    }
    return lines;
  };
  for (const key of new Set([...have.rules.keys(), ...have.chains, ...want.keys()])) {
    const [table = '', chain = ''] = key.split(' ');
    const own = OWN_CHAINS.includes(chain);
    const there = have.rules.get(key) ?? [];
    const wanted = want.get(key);
    const exists = !own || have.chains.has(key);
    if (exists === (wanted !== undefined || !own) && sameRules(there, wanted ?? [])) continue;
    const lines = of(table);
    if (own) {
      // Naming a chain empties it, in the same transaction that fills it.
      lines.chains.push(`:${chain} - [0:0]`);
      if (wanted === undefined) lines.ends.push(`-X ${chain}`);
      else for (const { words } of wanted) lines.rules.push(`-A ${chain} ${quoted(words)}`);
      continue;
    }
    for (const { words } of there) lines.rules.push(`-D ${chain} ${quoted(words)}`);
    const atEnd = chain === 'INPUT';
    const ordered = atEnd ? (wanted ?? []) : [...(wanted ?? [])].reverse();
    for (const { words } of ordered) lines.rules.push(`${atEnd ? '-A' : '-I'} ${chain} ${quoted(words)}`);
  }
  return [...tables]
    .map(([table, { chains, rules, ends }]) =>
      [`*${table}`, ...chains, ...rules, ...ends, 'COMMIT', ''].join('\n'),
    )
    .join('');
};

const sameRules = (a: readonly TextRule[], b: readonly TextRule[]): boolean =>
  a.length === b.length && a.every(({ identity }, at) => identity === b[at]?.identity);

const quoted = (words: readonly string[]): string =>
  words.map((word) => (/^[\w./:-]+$/.test(word) ? word : `"${word.replace(/["\\]/g, '\\$&')}"`)).join(' ');
