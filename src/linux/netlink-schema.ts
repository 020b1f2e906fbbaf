/**
 * Attributes as tables: a schema names each attribute once, with its number and codec, and one generic pair of functions
 * writes and reads any of them. Attributes a schema does not know are kept as they came.
 * @module
 */
import { formatIp, formatMac, parseIp, parseMac } from './ip-address.ts';
import {
  type Attribute,
  LITTLE_ENDIAN,
  type MessageWriter,
  readAttributes,
  viewOf,
} from './netlink-message.ts';

export interface Codec<T> {
  write(writer: MessageWriter, type: number, value: T): void;
  /** Data too short for the type reads as its zero value: an attribute never makes a dump fail. */
  read(data: Uint8Array): T;
}

export type Schema = Readonly<Record<string, readonly [type: number, codec: Codec<unknown>]>>;

export type Values<S extends Schema> = {
  readonly [K in keyof S]?: (S[K] extends readonly [number, Codec<infer T>] ? T : never) | undefined;
};

/** `other`: the attributes this schema has no name for. */
export type Decoded<S extends Schema> = Values<S> & { readonly other: readonly Attribute[] };

const number = (
  size: number,
  write: (writer: MessageWriter, value: number) => void,
  read: (view: DataView) => number,
): Codec<number> => ({
  write: (writer, type, value) => writer.attribute(type, (w) => write(w, value)),
  read: (data) => (data.length < size ? 0 : read(viewOf(data))),
});

export const u8 = number(
  1,
  (w, value) => w.u8(value),
  (view) => view.getUint8(0),
);
export const u16 = number(
  2,
  (w, value) => w.u16(value),
  (view) => view.getUint16(0, LITTLE_ENDIAN),
);
export const u32 = number(
  4,
  (w, value) => w.u32(value),
  (view) => view.getUint32(0, LITTLE_ENDIAN),
);
export const s32 = number(
  4,
  (w, value) => w.u32(value >>> 0),
  (view) => view.getInt32(0, LITTLE_ENDIAN),
);
export const be16 = number(
  2,
  (w, value) => w.be16(value),
  (view) => view.getUint16(0),
);
export const be32 = number(
  4,
  (w, value) => w.be32(value),
  (view) => view.getUint32(0),
);
/** Counters; exact up to 2^53. */
export const be64 = number(
  8,
  (w, value) => w.be64(value),
  (view) => Number(view.getBigUint64(0)),
);

const decoder = new TextDecoder();

export const text: Codec<string> = {
  write: (writer, type, value) => writer.attribute(type, (w) => w.text(value)),
  read: (data) => {
    const end = data.indexOf(0);
    return decoder.decode(end < 0 ? data : data.subarray(0, end));
  },
};

/** Present or absent, without data. */
export const flag: Codec<true> = {
  write: (writer, type) => writer.attribute(type, () => {}),
  read: () => true,
};

export const bytes: Codec<Uint8Array> = {
  write: (writer, type, value) => writer.attribute(type, (w) => w.raw(value)),
  read: (data) => data,
};

export const ip: Codec<string> = {
  write: (writer, type, value) => writer.attribute(type, (w) => w.raw(parseIp(value))),
  read: (data) => (data.length === 4 || data.length === 16 ? formatIp(data) : ''),
};

export const mac: Codec<string> = {
  write: (writer, type, value) => writer.attribute(type, (w) => w.raw(parseMac(value))),
  read: formatMac,
};

export const nested = <S extends Schema>(schema: S): Codec<Values<S>> => ({
  write: (writer, type, value) => writer.nested(type, (w) => writeAttributes(w, schema, value)),
  read: (data) => decodeAttributes(schema, data),
});

/** A nest whose members all have one number, in order: a list. */
export const list = <T>(member: number, codec: Codec<T>): Codec<readonly T[]> => ({
  write: (writer, type, values) =>
    writer.nested(type, (w) => {
      for (const value of values) codec.write(w, member, value);
    }),
  read: (data) => readAttributes(data).map((attribute) => codec.read(attribute.data)),
});

/** Writes the attributes in the order the schema names them. */
export const writeAttributes = <S extends Schema>(
  writer: MessageWriter,
  schema: S,
  values: Values<S>,
): void => {
  for (const [name, [type, codec]] of Object.entries(schema)) {
    const value: unknown = values[name];
    if (value !== undefined) codec.write(writer, type, value);
  }
};

const namesOf = new WeakMap<Schema, Map<number, string>>();

export const decodeAttributes = <S extends Schema>(schema: S, data: Uint8Array): Decoded<S> => {
  let names = namesOf.get(schema);
  if (names === undefined) {
    names = new Map(Object.entries(schema).map(([name, [type]]) => [type, name]));
    namesOf.set(schema, names);
  }
  const values: Record<string, unknown> = {};
  const other: Attribute[] = [];
  for (const attribute of readAttributes(data)) {
    const name = names.get(attribute.type);
    const entry = name === undefined ? undefined : schema[name];
    if (name === undefined || entry === undefined) other.push(attribute);
    else values[name] = entry[1].read(attribute.data);
  }
  return { ...values, other } as unknown as Decoded<S>;
};
