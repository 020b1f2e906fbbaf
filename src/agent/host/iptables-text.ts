/**
 * Packet filter rules as text: what `iptables-save` prints brought to one form, and what is wanted in the same form.
 * Source: iptables-save(8); Kilo's chains and comments, by which its rules are known again.
 * @module
 */
import { type Cidr, formatCidr, network, parseAddress, parseCidr } from '../../noise/ip.ts';
import { connectionWords, type Family, type Filter, type FilterRule } from '../../routing/nat.ts';

export interface SavedRule {
  /** What follows `-A CHAIN`, equal for rules that do the same. */
  readonly text: string;
  /** As it was printed, and is taken away again. */
  readonly printed: string;
}

export interface Saved {
  /** Ours, in order, by `table chain`. */
  readonly rules: ReadonlyMap<string, readonly SavedRule[]>;
  /** Own chains that exist, as `table chain`. */
  readonly chains: ReadonlySet<string>;
}

/** What a chain shall hold of ours. */
export interface WantedChain {
  /** Before everything else, in whatever order: none of them takes a packet another would have. */
  readonly head: readonly string[];
  /** After everything else, in order. */
  readonly tail: readonly string[];
}

const OWN_CHAINS = ['KILO-NAT', 'KILO-IPIP', 'KILO-ALLOW'];
const OWN_COMMENT = 'Kilo: ';
/** Names protocols(5) has, or had, for number 4. */
const IPIP_NAMES = ['4', 'ipencap', 'ipip', 'ipv4', 'ip-in-ip'];
/** Almost all rules look like this, and are in their one form as printed. */
const PLAIN = /^(?:-[sd] [\d./]+ )?-m comment --comment "[^"\\]*" -j [A-Z-]+$/;
const EVERYTHING = / 0\.0\.0\.0\/0 /;

export const isOwnChain = (chain: string): boolean => OWN_CHAINS.includes(chain);

export const placeOf = (table: string, chain: string): string => `${table} ${chain}`;

/** What of a listing is the mesh's. */
export const parseSaved = (text: string): Saved => {
  const rules = new Map<string, SavedRule[]>();
  const chains = new Set<string>();
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    else if (line.startsWith(':')) {
      const chain = line.slice(1, line.indexOf(' '));
      if (isOwnChain(chain)) chains.add(placeOf(table, chain));
    } else if (line.startsWith('-A ')) {
      const end = line.indexOf(' ', 3);
      const chain = line.slice(3, end);
      // A node's services may have ten thousand rules of their own.
      if (!isOwnChain(chain) && !line.includes(OWN_COMMENT)) continue;
      const printed = line.slice(end + 1).trimEnd();
      const text = PLAIN.test(printed) && !EVERYTHING.test(printed) ? printed : oneForm(printed);
      if (!isOwnChain(chain) && !text.includes(`--comment "${OWN_COMMENT}`)) continue;
      const key = placeOf(table, chain);
      const there = rules.get(key);
      if (there === undefined) rules.set(key, [{ text, printed }]);
      else there.push({ text, printed });
    }
  }
  return { rules, chains };
};

/** Words, with quotes and backslashes as iptables-save writes them. */
export const splitWords = (line: string): string[] =>
  [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? '') : quoted.replace(/\\(.)/g, '$1'),
  );

/** The same for a rule as it was given and as the kernel tells it. */
const oneForm = (printed: string): string => {
  const words = splitWords(printed);
  const found = new Map<string, string>();
  const others: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const value = words[at + 1] ?? '';
    if (word === '-m' && value === 'comment') at++;
    else if (['-p', '-s', '-d', '--comment', '-j'].includes(word)) {
      found.set(word, value);
      at++;
    } else others.push(word);
  }
  const range = (flag: string): string[] => {
    const text = networkText(found.get(flag) ?? '');
    // A range of everything is not told.
    return text === '' || text.endsWith('/0') ? [] : [flag, text];
  };
  const protocol = found.get('-p');
  return [
    ...range('-s'),
    ...range('-d'),
    ...(protocol === undefined ? [] : ['-p', IPIP_NAMES.includes(protocol) ? '4' : protocol]),
    ...others,
    ...commentWords(found.get('--comment')),
    ...(found.has('-j') ? ['-j', found.get('-j') ?? ''] : []),
  ].join(' ');
};

const commentWords = (comment: string | undefined): string[] =>
  comment === undefined ? [] : ['-m', 'comment', '--comment', `"${comment.replace(/["\\]/g, '\\$&')}"`];

const networkText = (text: string): string => {
  const address = parseAddress(text);
  const cidr = address === null ? parseCidr(text) : { address, prefix: address.length * 8 };
  return cidr === null ? text : formatCidr(network(cidr));
};

const textOf = (rule: FilterRule): string => {
  const range = (flag: string, cidr: Cidr | undefined): string =>
    cidr === undefined || cidr.prefix === 0 ? '' : `${flag} ${formatCidr(network(cidr))} `;
  const protocol = rule.protocol === undefined ? '' : '-p 4 ';
  const incoming = rule.inInterface === undefined ? '' : `-i ${rule.inInterface} `;
  const connection = connectionWords(rule)
    .map((word) => `${word} `)
    .join('');
  const comment = commentWords(rule.comment).join(' ');
  return `${range('-s', rule.source)}${range('-d', rule.destination)}${protocol}${incoming}${connection}${comment} -j ${rule.verdict}`;
};

/** What a family shall hold, by `table chain`, as a listing shows it: what is put at the head comes out reversed. */
export const wantedRules = (filter: Filter, family: Family): ReadonlyMap<string, WantedChain> => {
  const chains = new Map<string, { head: string[]; tail: string[] }>();
  const of = (table: string, chain: string): { head: string[]; tail: string[] } => {
    const key = placeOf(table, chain);
    let rules = chains.get(key);
    if (rules === undefined) {
      rules = { head: [], tail: [] };
      chains.set(key, rules);
    }
    return rules;
  };
  for (const item of filter.append) {
    if (item.family !== family) continue;
    const { tail } = of(item.table, item.chain);
    if (item.kind === 'rule') tail.push(textOf(item));
  }
  for (const rule of filter.prepend)
    if (rule.family === family) of(rule.table, rule.chain).head.push(textOf(rule));
  for (const { head } of chains.values()) head.reverse();
  return chains;
};

/** What a listing shows when all that was wanted is there. */
export const savedAs = (wanted: ReadonlyMap<string, WantedChain>): Saved => ({
  rules: new Map(
    [...wanted].map(([key, { head, tail }]) => [
      key,
      [...head, ...tail].map((text) => ({ text, printed: text })),
    ]),
  ),
  chains: new Set([...wanted.keys()].filter((key) => isOwnChain(key.split(' ')[1] ?? ''))),
});
