/**
 * Splits a watch's body into the JSON documents in it, one a line. A line that is no JSON or has no end within bounds is
 * an error, never passed over: what it said would be missing from the view for good.
 * Source: Kubernetes API concepts, "Efficient detection of changes": a stream of JSON objects, each on a line.
 * @module
 */
import { KubernetesError } from './kubernetes-error.ts';

/** etcd refuses objects over 1.5 MiB; an event is one object and a few words. */
const LONGEST_LINE = 8 << 20;
const NEWLINE = 0x0a;

export class JsonLines {
  readonly #longest: number;
  #pieces: Uint8Array[] = [];
  #length = 0;

  constructor(longest = LONGEST_LINE) {
    this.#longest = longest;
  }

  /** The documents that end in this chunk. */
  *push(chunk: Uint8Array): Generator<unknown, void, void> {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      const piece = chunk.subarray(start, end < 0 ? undefined : end);
      this.#length += piece.length;
      if (this.#length > this.#longest)
        throw protocolError(`a line of the watch is longer than ${this.#longest} bytes`);
      this.#pieces.push(piece);
      if (end < 0) return;
      start = end + 1;
      const line = this.#take();
      if (line.trim() !== '') yield parse(line);
    }
  }

  /** The stream has ended: half a line is half an event. */
  end(): void {
    if (this.#take().trim() !== '') throw protocolError('the watch ended in the middle of a line');
  }

  #take(): string {
    const [first] = this.#pieces;
    const whole = this.#pieces.length === 1 && first !== undefined ? first : Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#length = 0;
    return Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength).toString('utf8');
  }
}

const parse = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw protocolError('a line of the watch is not JSON', cause);
  }
};

const protocolError = (what: string, cause?: unknown): KubernetesError =>
  new KubernetesError(
    'ERR_KUBERNETES_PROTOCOL',
    `The API's answer cannot be read: ${what}. Is there a proxy in between that changes it?`,
    cause === undefined ? {} : { cause },
  );
