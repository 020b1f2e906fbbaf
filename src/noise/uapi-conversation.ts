/**
 * One connection to the control socket: cuts the stream into lines, lines into operations, and says what to answer.
 * Source: wireguard.com/xplatform; wireguard-go device/uapi.go (IpcHandle).
 * Requests may come in any pieces and may be pipelined. Errno is negative on `set`, where wg(8) turns it round, and
 * positive on `get`, where it reads digits only.
 * @module
 */
import { wipe } from './primitives.ts';
import { EINVAL, EIO, LINE_LIMIT, SetParser, type SetSink } from './uapi-parser.ts';

export interface ConversationHandler {
  /**
   * A `get` is complete: send the device's state (uapi-text.ts formatGet). `kilowire_get` asks for the metrics as well,
   * and is an operation of its own so that nobody meets a line in `get` that the protocol does not know.
   */
  get(operation: 'get' | 'kilowire_get'): void;
  /** A `set` begins. */
  set(): SetSink;
  /** Send these bytes. */
  reply(text: string): void;
}

const NEWLINE = 0x0a;
const EMPTY = new Uint8Array(0);

type Step =
  | { readonly kind: 'operation' }
  /** After `get=1`: only an empty line may follow. */
  | { readonly kind: 'get'; readonly operation: 'get' | 'kilowire_get' }
  | { readonly kind: 'set'; readonly parser: SetParser }
  /** After an error: its lines up to the empty one are passed over; the answer has been given. */
  | { readonly kind: 'refused' };

function matches(line: Uint8Array, text: string): boolean {
  if (line.length !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (line[i] !== text.charCodeAt(i)) return false;
  return true;
}

export class UapiConversation {
  readonly #handler: ConversationHandler;
  #step: Step = { kind: 'operation' };
  /** The beginning of a line whose end has not arrived; nothing is kept for a client that sends whole lines. */
  #rest = EMPTY;
  #restLength = 0;

  constructor(handler: ConversationHandler) {
    this.#handler = handler;
  }

  /** Between two operations: nothing has been asked that is not answered, and no line has begun. */
  get isIdle(): boolean {
    return this.#step.kind === 'operation' && this.#restLength === 0;
  }

  /** Takes what arrived. False: close the connection, there is nothing more to say. Wipes the chunk it was given. */
  push(chunk: Uint8Array): boolean {
    let open = true;
    let from = 0;
    while (open && from < chunk.length) {
      if (this.#step.kind === 'set' && this.#restLength === 0) {
        from = this.#step.parser.ranges(chunk, from);
        if (from === chunk.length) break;
      }
      const end = chunk.indexOf(NEWLINE, from);
      const piece = chunk.subarray(from, end < 0 ? chunk.length : end);
      if (this.#restLength + piece.length > LINE_LIMIT) {
        open = this.#tooLong();
        break;
      }
      if (end < 0) {
        this.#keep(piece);
        break;
      }
      open = this.#restLength === 0 ? this.#line(piece) : this.#joined(piece);
      from = end + 1;
    }
    wipe(chunk);
    return open;
  }

  /** The other side has closed: the last section of an unfinished `set` is closed too. */
  end(): void {
    if (this.#step.kind === 'set') this.#step.parser.end();
    this.#step = { kind: 'operation' };
    this.#forget();
  }

  #keep(piece: Uint8Array): void {
    const length = this.#restLength + piece.length;
    if (length > this.#rest.length) {
      const larger = new Uint8Array(Math.min(LINE_LIMIT, 2 * length));
      larger.set(this.#rest.subarray(0, this.#restLength));
      wipe(this.#rest);
      this.#rest = larger;
    }
    this.#rest.set(piece, this.#restLength);
    this.#restLength = length;
  }

  #forget(): void {
    wipe(this.#rest);
    this.#rest = EMPTY;
    this.#restLength = 0;
  }

  #joined(piece: Uint8Array): boolean {
    this.#keep(piece);
    const open = this.#line(this.#rest.subarray(0, this.#restLength));
    this.#forget();
    return open;
  }

  #tooLong(): boolean {
    if (this.#step.kind === 'set') this.#handler.reply(`errno=-${EIO}\n\n`);
    this.end();
    return false;
  }

  #line(line: Uint8Array): boolean {
    const step = this.#step;
    switch (step.kind) {
      case 'operation':
        return this.#operation(line);
      case 'get':
        this.#step = { kind: 'operation' };
        if (line.length === 0) this.#handler.get(step.operation);
        else {
          this.#handler.reply(`errno=${EINVAL}\n\n`);
          this.#step = { kind: 'refused' };
        }
        return true;
      case 'set': {
        if (line.length === 0) {
          step.parser.end();
          this.#step = { kind: 'operation' };
          this.#handler.reply('errno=0\n\n');
          return true;
        }
        const errno = step.parser.line(line);
        if (errno !== 0) {
          // What came before stays applied, so the peer of the section it broke off in is started like any other.
          step.parser.end();
          this.#step = { kind: 'refused' };
          this.#handler.reply(`errno=-${errno}\n\n`);
        }
        return true;
      }
      case 'refused':
        if (line.length === 0) this.#step = { kind: 'operation' };
        // A client that waited for the refusal goes on with a new operation and owes us no empty line.
        else if (matches(line, 'get=1') || matches(line, 'set=1')) return this.#operation(line);
        return true;
    }
  }

  #operation(line: Uint8Array): boolean {
    if (matches(line, 'get=1')) this.#step = { kind: 'get', operation: 'get' };
    else if (matches(line, 'kilowire_get=1')) this.#step = { kind: 'get', operation: 'kilowire_get' };
    else if (matches(line, 'set=1')) this.#step = { kind: 'set', parser: new SetParser(this.#handler.set()) };
    else return false;
    return true;
  }
}
