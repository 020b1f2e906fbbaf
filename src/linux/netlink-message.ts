/**
 * Netlink messages as bytes: a writer that grows, and readers of messages and attributes.
 * Source: include/uapi/linux/netlink.h. A message is
 *
 *     ┌ nlmsghdr 16 ──────────────────────────┐┌ family header ┐┌ attribute ──────────────┐
 *     │ length u32 type u16 flags u16 seq port ││ e.g. rtmsg 12 ││ length u16 type u16 data │ …
 *     └────────────────────────────────────────┘└───────────────┘└─ padded to 4 ───────────┘
 *
 * Numbers are in host order, except where an attribute says otherwise (nftables: big endian).
 * @module
 */

export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_ECHO = 0x08;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

const NLMSGERR_ATTR_MSG = 1;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
export const HEADER_LENGTH = 16;

export const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

const aligned = (length: number): number => (length + 3) & ~3;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class MessageWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** What has been written so far, as a view that the next write may invalidate. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Reserves `size` zeroed bytes at the end and answers where they start. May replace #view: read that afterwards. */
  #take(size: number): number {
    const at = this.#length;
    const need = at + size;
    if (need > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(need, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.#length = need;
    return at;
  }

  #pad(): void {
    this.#take(aligned(this.#length) - this.#length);
  }

  /** Writes one whole message; `body` writes what follows nlmsghdr. */
  message(type: number, flags: number, sequence: number, body: (writer: MessageWriter) => void): void {
    const at = this.#take(HEADER_LENGTH);
    body(this);
    this.#view.setUint32(at, this.#length - at, LITTLE_ENDIAN);
    this.#view.setUint16(at + 4, type, LITTLE_ENDIAN);
    this.#view.setUint16(at + 6, flags, LITTLE_ENDIAN);
    this.#view.setUint32(at + 8, sequence, LITTLE_ENDIAN);
    this.#pad();
  }

  u8(value: number): void {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#take(2);
    this.#view.setUint16(at, value, LITTLE_ENDIAN);
  }

  u32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value, LITTLE_ENDIAN);
  }

  u64(value: number): void {
    const at = this.#take(8);
    this.#view.setBigUint64(at, BigInt(value), LITTLE_ENDIAN);
  }

  be16(value: number): void {
    const at = this.#take(2);
    this.#view.setUint16(at, value);
  }

  be32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value);
  }

  be64(value: number): void {
    const at = this.#take(8);
    this.#view.setBigUint64(at, BigInt(value));
  }

  raw(bytes: Uint8Array): void {
    const at = this.#take(bytes.length);
    this.#bytes.set(bytes, at);
  }

  text(value: string): void {
    this.raw(encoder.encode(value));
    this.u8(0);
  }

  /** One attribute; `body` writes its data. */
  attribute(type: number, body: (writer: MessageWriter) => void): void {
    const at = this.#take(4);
    body(this);
    const length = this.#length - at;
    if (length > 0xffff) throw new RangeError(`A netlink attribute of ${length} bytes does not fit 65535.`);
    this.#view.setUint16(at, length, LITTLE_ENDIAN);
    this.#view.setUint16(at + 2, type, LITTLE_ENDIAN);
    this.#pad();
  }

  nested(type: number, body: (writer: MessageWriter) => void): void {
    this.attribute(type | NLA_F_NESTED, body);
  }
}

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** What follows nlmsghdr. */
  readonly payload: Uint8Array;
}

export interface Attribute {
  readonly type: number;
  readonly data: Uint8Array;
}

export const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The messages of one datagram. A length that cannot be true ends the reading: the rest would be guesswork. */
export const readMessages = (datagram: Uint8Array): Message[] => {
  const view = viewOf(datagram);
  const messages: Message[] = [];
  let at = 0;
  while (at + HEADER_LENGTH <= datagram.length) {
    const length = view.getUint32(at, LITTLE_ENDIAN);
    if (length < HEADER_LENGTH || at + length > datagram.length) break;
    messages.push({
      type: view.getUint16(at + 4, LITTLE_ENDIAN),
      flags: view.getUint16(at + 6, LITTLE_ENDIAN),
      sequence: view.getUint32(at + 8, LITTLE_ENDIAN),
      payload: datagram.subarray(at + HEADER_LENGTH, at + length),
    });
    at += aligned(length);
  }
  return messages;
};

/**
 * Goes through a datagram of a dump: its messages lose the number of the request, so that equal tables are equal bytes, and
 * those of other requests become none. `end`: the message that ends the dump.
 */
export const takeOffSequence = (datagram: Uint8Array, sequence: number) => {
  const view = viewOf(datagram);
  let flags = 0;
  let isCut = datagram.length < HEADER_LENGTH;
  for (let at = 0; at + HEADER_LENGTH <= datagram.length; ) {
    const length = view.getUint32(at, LITTLE_ENDIAN);
    const type = view.getUint16(at + 4, LITTLE_ENDIAN);
    if (type === NLMSG_OVERRUN || length < HEADER_LENGTH || at + length > datagram.length) {
      isCut = true;
      break;
    }
    if (view.getUint32(at + 8, LITTLE_ENDIAN) !== sequence) view.setUint16(at + 4, NLMSG_NOOP, LITTLE_ENDIAN);
    else {
      view.setUint32(at + 8, 0, LITTLE_ENDIAN);
      flags |= view.getUint16(at + 6, LITTLE_ENDIAN);
      if (type === NLMSG_ERROR || type === NLMSG_DONE)
        return { flags, isCut, end: readMessages(datagram.subarray(at))[0] };
    }
    at += aligned(length);
  }
  return { flags, isCut, end: undefined };
};

/** The entries in a dump's datagrams. */
export const entriesOf = (datagrams: readonly Uint8Array[]): Message[] =>
  datagrams
    .flatMap(readMessages)
    .filter(({ type }) => type !== NLMSG_NOOP && type !== NLMSG_ERROR && type !== NLMSG_DONE);

/** The attributes in `bytes`, in order, the nested and byte-order flags taken off their types. */
export const readAttributes = (bytes: Uint8Array): Attribute[] => {
  const view = viewOf(bytes);
  const attributes: Attribute[] = [];
  let at = 0;
  while (at + 4 <= bytes.length) {
    const length = view.getUint16(at, LITTLE_ENDIAN);
    if (length < 4 || at + length > bytes.length) break;
    attributes.push({
      type: view.getUint16(at + 2, LITTLE_ENDIAN) & NLA_TYPE_MASK,
      data: bytes.subarray(at + 4, at + length),
    });
    at += aligned(length);
  }
  return attributes;
};

/** What an NLMSG_ERROR or NLMSG_DONE says: 0 for an acknowledgement. */
export const errnoOf = (message: Message): number =>
  message.payload.length < 4 ? 0 : -viewOf(message.payload).getInt32(0, LITTLE_ENDIAN);

/** The extended acknowledgement's text: it follows the errno and the refused message, or only that one's header. */
export const extackOf = (message: Message): string | undefined => {
  if ((message.flags & NLM_F_ACK_TLVS) === 0 || message.payload.length < 8) return undefined;
  const capped = (message.flags & NLM_F_CAPPED) !== 0;
  const refused = capped ? HEADER_LENGTH : viewOf(message.payload).getUint32(4, LITTLE_ENDIAN);
  // An NLMSG_DONE carries no message, only the errno.
  const start = message.type === NLMSG_DONE ? 4 : 4 + aligned(refused);
  const found = readAttributes(message.payload.subarray(start)).find(
    (attribute) => attribute.type === NLMSGERR_ATTR_MSG,
  );
  return found && decoder.decode(found.data.subarray(0, Math.max(0, found.data.indexOf(0))));
};
