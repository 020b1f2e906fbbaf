/**
 * What the door of the executable (scripts/door) and a resident say to each other, over a socket of whole messages.
 *
 *     asks      "kwr1" u32 length of the text, u64 fingerprint of the executable
 *               text: argv[0], then the environment, each with a 0 at its end
 *               the configuration, to the end
 *     answers   u8 kind, u8 exit status, a piece of the document; `more` may come several times before `last`
 *
 * Anything else, and an end without an answer, makes the door start a process that does the work itself.
 * @module
 */
import type { Environment } from '../request.ts';

const magic = 0x3172_776b;
const headerSize = 16;
const more = 1;
const last = 2;
const yourself = 3;
/** What the door receives at once, less the two bytes. */
const pieceSize = 32_766;
/** Header, text and configuration at their longest. */
export const longestRequest = headerSize + 2 * 65_536;

export interface DoorRequest {
  readonly fingerprint: string;
  readonly program: string;
  readonly env: Environment;
  readonly stdin: string;
}

/** Undefined when it is none. */
export function parseDoorRequest(bytes: Uint8Array): DoorRequest | undefined {
  if (bytes.length < headerSize) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = headerSize + view.getUint32(4, true);
  if (view.getUint32(0, true) !== magic || end > bytes.length || bytes[end - 1] !== 0) return undefined;
  const decoder = new TextDecoder();
  const [program = '', ...variables] = decoder.decode(bytes.subarray(headerSize, end - 1)).split('\0');
  const env: Record<string, string> = Object.create(null);
  for (const variable of variables) {
    const at = variable.indexOf('=');
    // The first of two is the one that getenv(3) finds.
    if (at > 0) env[variable.slice(0, at)] ??= variable.slice(at + 1);
  }
  return {
    fingerprint: view.getBigUint64(8, true).toString(16).padStart(16, '0'),
    program,
    env,
    stdin: decoder.decode(bytes.subarray(end)),
  };
}

export const doItYourself = (): Uint8Array => Uint8Array.of(yourself, 0);

export function answerMessages(document: string, status: number): readonly Uint8Array[] {
  const bytes = new TextEncoder().encode(document);
  const messages: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += pieceSize) {
    const piece = bytes.subarray(at, at + pieceSize);
    const message = new Uint8Array(2 + piece.length);
    message[0] = at + pieceSize < bytes.length ? more : last;
    message[1] = status;
    message.set(piece, 2);
    messages.push(message);
  }
  return messages;
}

/** What the door tells the process it starts, when that may stay. */
export interface Door {
  readonly fingerprint: string;
  /** Where the exit status goes: the process that the runtime waits for passes it on. */
  readonly status: number;
  /** Each byte written to it makes another process delete what was abandoned. */
  readonly sweeper: number;
  /** A socket that already listens where a resident is looked for, and the lock beside it; 0 when there is none. */
  readonly listener: number;
  readonly lock: number;
}

/** Of the variable KILOWIRE_CNI_DOOR; undefined when there is none, or it is somebody else's. */
export function parseDoor(text: string | undefined): Door | undefined {
  const found = /^([0-9a-f]{16})([a-p]{16})$/.exec(text ?? '');
  if (found === null) return undefined;
  const [, fingerprint = '', letters = ''] = found;
  const at = (index: number): number => descriptor(letters.slice(4 * index, 4 * index + 4));
  return { fingerprint, status: at(0), sweeper: at(1), listener: at(2), lock: at(3) };
}

/** Four bits a letter, 'a' is none. */
function descriptor(letters: string): number {
  return [...letters].reduce((sum, letter) => 16 * sum + letter.charCodeAt(0) - 97, 0);
}
