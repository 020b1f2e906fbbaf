/**
 * Sets and maps of nftables: what they are declared as, and how their elements are written and read back. A set of intervals
 * stores both ends: over one type as two elements (the first value, and the first value after, marked as an end), over a
 * concatenation as one element with a closing key.
 * Source: include/uapi/linux/netfilter/nf_tables.h.
 * @module
 */
import { type Attribute, type MessageWriter, readAttributes, viewOf } from './netlink-message.ts';
import { text } from './netlink-schema.ts';
import { type Verdict, writeVerdict } from './nftables-action.ts';
import { be32 } from './nftables-rule.ts';
import {
  compareBytes,
  type DataType,
  formatInterval,
  type Interval,
  parseInterval,
  stepBytes,
  type TypeName,
  types,
  type Value,
} from './nftables-type.ts';

const SET_ANONYMOUS = 1;
const SET_CONSTANT = 2;
const SET_INTERVAL = 4;
const SET_MAP = 8;
const SET_TIMEOUT = 16;
const SET_CONCAT = 128;
const ELEMENT_INTERVAL_END = 1;
const TYPE_BITS = 6;
const VERDICT_TYPE = 0xffffff00;
/** One attribute holds 65535 bytes; an element takes at most about 100. */
const ELEMENTS_PER_MESSAGE = 500;

export interface SetSpec {
  readonly name: string;
  readonly key: readonly TypeName[];
  /** What a map holds for a key. */
  readonly data?: readonly TypeName[] | 'verdict' | undefined;
  /** Elements may be prefixes and ranges. */
  readonly interval?: boolean | undefined;
  /** Seconds an element lives. */
  readonly timeout?: number | undefined;
}

export type Parts = Value | readonly Value[];

export interface Element {
  readonly key: Parts;
  readonly data?: Parts | Verdict | { readonly jump: string } | undefined;
  readonly comment?: string | undefined;
}

export interface ListedElement {
  /** One text per part of the key. */
  readonly key: readonly string[];
  readonly data: readonly string[] | Verdict | undefined;
  readonly comment: string | undefined;
}

const partsOf = (value: Parts): readonly Value[] => (typeof value === 'object' ? value : [value]);

/** In a concatenation every part fills whole registers. */
const widthOf = (type: DataType, parts: number): number => (parts === 1 ? type.size : (type.size + 3) & ~3);

const lengthOf = (names: readonly TypeName[]): number =>
  names.reduce((sum, name) => sum + widthOf(types[name], names.length), 0);

const idOf = (names: readonly TypeName[]): number =>
  names.reduce((id, name) => (id << TYPE_BITS) | types[name].id, 0);

export class ElementError extends Error {
  readonly code = 'ERR_NFTABLES_ELEMENT';
  constructor(set: string, value: Parts, wanted: readonly TypeName[]) {
    super(`"${partsOf(value).join(' . ')}" cannot be in the set ${set}, which holds ${wanted.join(' . ')}.`);
    this.name = 'ElementError';
  }
}

const encode = (set: string, names: readonly TypeName[], value: Parts): Interval => {
  const parts = partsOf(value);
  if (parts.length !== names.length) throw new ElementError(set, value, names);
  const first = new Uint8Array(lengthOf(names));
  const last = new Uint8Array(lengthOf(names));
  let at = 0;
  for (const [index, name] of names.entries()) {
    const interval = parseInterval(types[name], parts[index] ?? '');
    first.set(interval.first, at);
    last.set(interval.last, at);
    at += widthOf(types[name], names.length);
  }
  return { first, last };
};

const decode = (names: readonly TypeName[], { first, last }: Interval): string[] => {
  let at = 0;
  return names.map((name) => {
    const type = types[name];
    const start = at;
    at += widthOf(type, names.length);
    if (start + type.size > first.length || start + type.size > last.length) return '';
    return formatInterval(type, {
      first: first.subarray(start, start + type.size),
      last: last.subarray(start, start + type.size),
    });
  });
};

const flagsOf = (set: SetSpec): number =>
  (set.interval ? SET_INTERVAL : 0) |
  (set.data ? SET_MAP : 0) |
  (set.timeout === undefined ? 0 : SET_TIMEOUT) |
  (set.key.length > 1 ? SET_CONCAT : 0) |
  (set.name.includes('%') ? SET_ANONYMOUS | SET_CONSTANT : 0);

/** What follows the table's name in NFT_MSG_NEWSET. */
export const writeSet = (w: MessageWriter, set: SetSpec, id: number): void => {
  w.attribute(2 /* NFTA_SET_NAME */, () => w.text(set.name));
  be32(w, 3 /* NFTA_SET_FLAGS */, flagsOf(set));
  be32(w, 4 /* NFTA_SET_KEY_TYPE */, idOf(set.key));
  be32(w, 5 /* NFTA_SET_KEY_LEN */, lengthOf(set.key));
  if (set.data) {
    be32(w, 6 /* NFTA_SET_DATA_TYPE */, set.data === 'verdict' ? VERDICT_TYPE : idOf(set.data));
    be32(w, 7 /* NFTA_SET_DATA_LEN */, set.data === 'verdict' ? 16 : lengthOf(set.data));
  }
  if (set.key.length > 1) {
    w.nested(9 /* NFTA_SET_DESC */, () =>
      w.nested(2 /* NFTA_SET_DESC_CONCAT */, () => {
        for (const name of set.key) {
          w.nested(1 /* NFTA_LIST_ELEM */, () => be32(w, 1 /* NFTA_SET_FIELD_LEN */, types[name].size));
        }
      }),
    );
  }
  be32(w, 10 /* NFTA_SET_ID */, id);
  const { timeout } = set;
  if (timeout !== undefined) w.attribute(11 /* NFTA_SET_TIMEOUT */, () => w.be64(timeout * 1000));
  // How nft prints the key, in the form nft leaves it for itself: type, length, then 1 host or 2 big endian.
  const order = types[set.key[0] ?? 'mark'].order === 'host' ? 1 : 2;
  w.attribute(13 /* NFTA_SET_USERDATA */, () => {
    w.u8(0 /* NFTNL_UDATA_SET_KEYBYTEORDER */);
    w.u8(4);
    w.u32(set.key.length > 1 ? 0 : order);
  });
};

const value = (w: MessageWriter, type: number, bytes: Uint8Array): void =>
  w.nested(type, () => w.attribute(1 /* NFTA_DATA_VALUE */, () => w.raw(bytes)));

const isVerdict = (data: NonNullable<Element['data']>): data is Verdict =>
  data === 'accept' ||
  data === 'drop' ||
  data === 'return' ||
  (typeof data === 'object' && ('jump' in data || 'goto' in data));

type WriteElement = (w: MessageWriter) => void;

/** One or two kernel elements for one of ours. */
const elementWriters = (set: SetSpec, element: Element): WriteElement[] => {
  const { first, last } = encode(set.name, set.key, element.key);
  if (!set.interval && compareBytes(first, last) !== 0)
    throw new ElementError(set.name, element.key, set.key);
  const mapped = element.data;
  if ((mapped === undefined) !== (set.data === undefined)) {
    throw new ElementError(set.name, element.key, set.key);
  }
  // Encoded now, so that a wrong value fails where it was given.
  const data =
    mapped === undefined || isVerdict(mapped) || set.data === undefined || set.data === 'verdict'
      ? undefined
      : encode(set.name, set.data, mapped as Parts).first;
  const start: WriteElement = (w) => {
    value(w, 1 /* NFTA_SET_ELEM_KEY */, first);
    if (set.interval && set.key.length > 1) value(w, 10 /* NFTA_SET_ELEM_KEY_END */, last);
    if (data) value(w, 2 /* NFTA_SET_ELEM_DATA */, data);
    else if (mapped !== undefined && isVerdict(mapped)) w.nested(2, () => writeVerdict(w, mapped));
    const { comment } = element;
    if (comment !== undefined)
      w.attribute(6 /* NFTA_SET_ELEM_USERDATA */, () => w.raw(commentBytes(comment)));
  };
  if (!set.interval || set.key.length > 1) return [start];
  const after = stepBytes(last, 1);
  if (after === undefined) return [start];
  const end: WriteElement = (w) => {
    value(w, 1, after);
    be32(w, 3 /* NFTA_SET_ELEM_FLAGS */, ELEMENT_INTERVAL_END);
  };
  return [start, end];
};

/** The elements as bodies of messages (what follows table and set name), as many to a message as fit. */
export const elementBodies = (set: SetSpec, elements: readonly Element[]): WriteElement[] => {
  const writers = elements.flatMap((element) => elementWriters(set, element));
  const bodies: WriteElement[] = [];
  for (let at = 0; at < writers.length; at += ELEMENTS_PER_MESSAGE) {
    const some = writers.slice(at, at + ELEMENTS_PER_MESSAGE);
    bodies.push((w) =>
      w.nested(3 /* NFTA_SET_ELEM_LIST_ELEMENTS */, () => {
        for (const write of some) w.nested(1 /* NFTA_LIST_ELEM */, write);
      }),
    );
  }
  return bodies;
};

/** A comment as nft keeps it: type 0, length, text, NUL. */
export const commentBytes = (comment: string): Uint8Array => {
  const bytes = new TextEncoder().encode(comment);
  if (bytes.length > 253) throw new RangeError(`The comment "${comment}" is longer than 253 bytes.`);
  return Uint8Array.of(0, bytes.length + 1, ...bytes, 0);
};

/** The comment among user data, whose first entry it is. */
export const readComment = (userdata: Uint8Array | undefined): string | undefined =>
  userdata === undefined || userdata[0] !== 0
    ? undefined
    : text.read(userdata.subarray(2, 2 + (userdata[1] ?? 0)));

interface RawElement {
  readonly first: Uint8Array;
  readonly last: Uint8Array | undefined;
  readonly end: boolean;
  readonly data: Attribute | undefined;
  readonly comment: string | undefined;
}

const readRaw = (element: Attribute): RawElement => {
  const found = new Map(readAttributes(element.data).map((attribute) => [attribute.type, attribute.data]));
  const inner = (type: number): Attribute | undefined => {
    const nest = found.get(type);
    return nest && readAttributes(nest)[0];
  };
  const flags = found.get(3);
  return {
    first: inner(1)?.data ?? new Uint8Array(0),
    last: inner(10)?.data,
    end: flags?.length === 4 && (viewOf(flags).getUint32(0) & ELEMENT_INTERVAL_END) !== 0,
    data: inner(2),
    comment: readComment(found.get(6)),
  };
};

const readVerdict = (attribute: Attribute): Verdict => {
  const found = new Map(readAttributes(attribute.data).map((part) => [part.type, part.data]));
  const code = found.get(1)?.length === 4 ? viewOf(found.get(1) ?? new Uint8Array(4)).getInt32(0) : 0;
  const chain = text.read(found.get(2) ?? new Uint8Array(0));
  if (code === -3) return { jump: chain };
  if (code === -4) return { goto: chain };
  return code === -5 ? 'return' : code === 1 ? 'accept' : 'drop';
};

/** Turns the kernel's elements (NFTA_SET_ELEM_LIST_ELEMENTS members) back into ours, sorted by key. */
export const readElements = (set: SetSpec, raw: readonly Attribute[]): ListedElement[] => {
  const elements = raw
    .map(readRaw)
    .sort((a, b) => compareBytes(a.first, b.first) || Number(b.end) - Number(a.end));
  const listed = (element: RawElement, last: Uint8Array): ListedElement => ({
    key: decode(set.key, { first: element.first, last }),
    data: dataOf(set, element.data),
    comment: element.comment,
  });
  if (!set.interval || set.key.length > 1) {
    return elements.map((element) => listed(element, element.last ?? element.first));
  }
  const out: ListedElement[] = [];
  for (const [at, element] of elements.entries()) {
    if (element.end) continue;
    const next = elements[at + 1];
    const last =
      next === undefined ? new Uint8Array(element.first.length).fill(0xff) : stepBytes(next.first, -1);
    out.push(listed(element, last ?? element.first));
  }
  return out;
};

const dataOf = (set: SetSpec, data: Attribute | undefined): ListedElement['data'] => {
  if (data === undefined || set.data === undefined) return undefined;
  if (set.data === 'verdict') return readVerdict(data);
  return decode(set.data, { first: data.data, last: data.data });
};
