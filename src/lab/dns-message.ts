/**
 * Just enough of DNS to answer for a handful of service names: one question, A records, no compression but the pointer to
 * the question. Anything else gets the matching error code, and what is no query gets no answer.
 * Source: RFC 1035 §4.1 (message), §3.1 (names); RFC 2308 §2 (name error, no data); RFC 6891 §6.1.1 (an OPT record may follow).
 * @module
 */

const HEADER_LENGTH = 12;
const TYPE_A = 1;
const TYPE_ANY = 255;
const CLASS_IN = 1;
/** Seconds a resolver may keep an answer: the lab's names do not live long. */
const TTL = 5;
const RCODE = { noError: 0, formatError: 1, nameError: 3, notImplemented: 4, refused: 5 } as const;

const FLAG_RESPONSE = 0x8000;
const FLAG_AUTHORITATIVE = 0x0400;
const FLAG_RECURSION_DESIRED = 0x0100;
const OPCODE_MASK = 0x7800;

interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Just after it. */
  readonly end: number;
}

const readQuestion = (message: Uint8Array, view: DataView): Question | null => {
  const labels: string[] = [];
  let at = HEADER_LENGTH;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return null; // cut short, or a pointer where none belongs
    at += 1;
    if (length === 0) break;
    if (at + length > message.length) return null;
    labels.push(
      Buffer.from(message.subarray(at, at + length))
        .toString('latin1')
        .toLowerCase(),
    );
    at += length;
  }
  if (at + 4 > message.length) return null;
  return { name: labels.join('.'), type: view.getUint16(at), class: view.getUint16(at + 2), end: at + 4 };
};

const reply = (
  query: Uint8Array,
  questionEnd: number,
  rcode: number,
  address: readonly number[] | null,
): Uint8Array => {
  const answer = address === null ? 0 : 16;
  const out = new Uint8Array(questionEnd + answer);
  out.set(query.subarray(0, questionEnd));
  const view = new DataView(out.buffer);
  const asked = view.getUint16(2);
  const flags = FLAG_RESPONSE | FLAG_AUTHORITATIVE | (asked & (OPCODE_MASK | FLAG_RECURSION_DESIRED)) | rcode;
  view.setUint16(2, flags);
  view.setUint16(4, questionEnd > HEADER_LENGTH ? 1 : 0);
  view.setUint16(6, address === null ? 0 : 1);
  view.setUint32(8, 0);
  if (address !== null) {
    view.setUint16(questionEnd, 0xc000 | HEADER_LENGTH); // pointer to the question's name
    view.setUint16(questionEnd + 2, TYPE_A);
    view.setUint16(questionEnd + 4, CLASS_IN);
    view.setUint32(questionEnd + 6, TTL);
    view.setUint16(questionEnd + 10, 4);
    out.set(address, questionEnd + 12);
  }
  return out;
};

/**
 * The answer to one datagram, null when it deserves none.
 * `records`: names in lower case, without the final dot, to dotted IPv4 addresses; `zone`: the domain they all lie in.
 */
export function answerQuery(
  query: Uint8Array,
  records: ReadonlyMap<string, string>,
  zone: string,
): Uint8Array | null {
  if (query.length < HEADER_LENGTH) return null;
  const view = new DataView(query.buffer, query.byteOffset, query.byteLength);
  const flags = view.getUint16(2);
  if ((flags & FLAG_RESPONSE) !== 0) return null; // never answer an answer
  if ((flags & OPCODE_MASK) !== 0) return reply(query, HEADER_LENGTH, RCODE.notImplemented, null);
  const question = view.getUint16(4) === 1 ? readQuestion(query, view) : null;
  if (question === null) return reply(query, HEADER_LENGTH, RCODE.formatError, null);
  const { name, type, end } = question;
  if (question.class !== CLASS_IN) return reply(query, end, RCODE.notImplemented, null);
  if (name !== zone && !name.endsWith(`.${zone}`)) return reply(query, end, RCODE.refused, null);
  const address = records.get(name);
  if (address === undefined) return reply(query, end, name === zone ? RCODE.noError : RCODE.nameError, null);
  if (type !== TYPE_A && type !== TYPE_ANY) return reply(query, end, RCODE.noError, null);
  return reply(query, end, RCODE.noError, address.split('.').map(Number));
}

/** A query for the A record of a name. */
export function createQuery(id: number, name: string): Uint8Array {
  const labels = name.split('.').map((label) => Buffer.from(label, 'latin1'));
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(FLAG_RECURSION_DESIRED, 2);
  header.writeUInt16BE(1, 4);
  const tail = Buffer.from([0, 0, TYPE_A, 0, CLASS_IN]);
  return Buffer.concat([header, ...labels.flatMap((label) => [Buffer.from([label.length]), label]), tail]);
}

/** The first address in an answer to `createQuery`; null when there is none or the answer is not to it. */
export function readAnswer(message: Uint8Array, id: number): string | null {
  if (message.length < HEADER_LENGTH) return null;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  if (view.getUint16(0) !== id || (view.getUint16(2) & FLAG_RESPONSE) === 0) return null;
  if ((view.getUint16(2) & 0xf) !== RCODE.noError || view.getUint16(6) === 0) return null;
  const question = readQuestion(message, view);
  if (question === null) return null;
  const at = question.end;
  if (at + 16 > message.length || view.getUint16(at + 2) !== TYPE_A || view.getUint16(at + 10) !== 4)
    return null;
  return message.subarray(at + 12, at + 16).join('.');
}
