/**
 * The least that `iptables-restore --noflush` has to be told so that the packet filter is as wanted.
 * Source: iptables-restore(8); Kilo's iptables controller (what is missing at the head is inserted there; what is to come
 * last is taken away and appended again when its order is wrong).
 * @module
 */
import { isOwnChain, type Saved, type SavedRule, type WantedChain } from './iptables-text.ts';

/** From so many single changes on, an own chain is written whole. */
const MANY = 64;
const EMPTY: WantedChain = { head: [], tail: [] };

interface TableText {
  readonly chains: string[];
  readonly rules: string[];
  readonly ends: string[];
}

/** '' when it is as wanted. */
export const restoreText = (have: Saved, want: ReadonlyMap<string, WantedChain>): string => {
  const tables = new Map<string, TableText>();
  const of = (table: string): TableText => {
    let text = tables.get(table);
    if (text === undefined) {
      text = { chains: [], rules: [], ends: [] };
      tables.set(table, text);
    }
    return text;
  };
  for (const key of new Set([...have.rules.keys(), ...have.chains, ...want.keys()])) {
    const [table = '', chain = ''] = key.split(' ');
    const there = have.rules.get(key) ?? [];
    const wanted = want.get(key);
    if (!isOwnChain(chain)) {
      const changes = changesOf(chain, there, wanted ?? EMPTY);
      if (changes.length > 0) of(table).rules.push(...changes);
    } else if (wanted === undefined) {
      of(table).chains.push(emptied(chain));
      of(table).ends.push(`-X ${chain}`);
    } else {
      const changes = changesOf(chain, there, wanted);
      const exists = have.chains.has(key);
      if (exists && changes.length === 0) continue;
      const text = of(table);
      if (exists && changes.length <= MANY) text.rules.push(...changes);
      else {
        text.chains.push(emptied(chain));
        for (const rule of [...wanted.head, ...wanted.tail]) text.rules.push(`-A ${chain} ${rule}`);
      }
    }
  }
  return [...tables]
    .map(([table, { chains, rules, ends }]) =>
      [`*${table}`, ...chains, ...rules, ...ends, 'COMMIT', ''].join('\n'),
    )
    .join('');
};

/** Naming a chain makes or empties it, in the same transaction that fills it. */
const emptied = (chain: string): string => `:${chain} - [0:0]`;

/** How many have their places already, from the front and from the back; none when the tail is not among them. */
const settled = (there: readonly SavedRule[], { head, tail }: WantedChain) => {
  const length = head.length + tail.length;
  const wantedAt = (at: number) => (at < head.length ? head[at] : tail[at - head.length]);
  const most = Math.min(there.length, length);
  let front = 0;
  while (front < most && front < head.length && there[front]?.text === head[front]) front++;
  let back = 0;
  while (back < most - front && there[there.length - 1 - back]?.text === wantedAt(length - 1 - back)) back++;
  return back < tail.length ? { front: 0, back: 0 } : { front, back };
};

const changesOf = (chain: string, all: readonly SavedRule[], wanted: WantedChain): string[] => {
  const { front, back } = settled(all, wanted);
  const there = all.slice(front, all.length - back);
  const isTailSettled = front + back > 0;
  const head = isTailSettled
    ? wanted.head.slice(front, wanted.head.length - (back - wanted.tail.length))
    : wanted.head;
  const tail = isTailSettled ? [] : wanted.tail;
  const missing = new Set(head);
  const last = new Set(tail);
  const surplus: SavedRule[] = [];
  const ending: SavedRule[] = [];
  let inOrder = true;
  for (const rule of there) {
    if (missing.delete(rule.text)) {
      // One of the head behind the tail would never be reached.
      if (ending.length > 0) inOrder = false;
    } else if (last.has(rule.text)) ending.push(rule);
    else {
      surplus.push(rule);
      // The first of two that are alike is taken away, and leaves the one behind the tail.
      if (ending.length > 0 && head.includes(rule.text)) inOrder = false;
    }
  }
  if (ending.length !== tail.length || ending.some(({ text }, at) => text !== tail[at])) inOrder = false;
  if (!inOrder) surplus.push(...ending);
  return [
    ...surplus.map(({ printed }) => `-D ${chain} ${printed}`),
    ...[...missing].reverse().map((text) => `-I ${chain} ${text}`),
    ...(inOrder ? [] : tail.map((text) => `-A ${chain} ${text}`)),
  ];
};
