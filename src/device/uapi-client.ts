/**
 * Asks a running interface over its control socket: ours, or any other program's that speaks the protocol.
 * Source: wireguard.com/xplatform.
 * @module
 */
import { connect } from 'node:net';
import type { DeviceStatus } from '../noise/device-config.ts';
import { type Metrics, parseGet, parseMetrics } from '../noise/uapi-text.ts';
import { DeviceError } from './device-error.ts';

const ANSWER_TIMEOUT = 3000;

export interface Reading {
  readonly status: DeviceStatus;
  /** Empty when the program does not know `kilowire_get`. */
  readonly metrics: Metrics;
}

/** Everything up to the errno line; empty when the other side hangs up without it. */
function converse(path: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const pieces: Buffer[] = [];
    let text = '';
    socket.setTimeout(ANSWER_TIMEOUT, () => socket.destroy(new Error('it does not answer')));
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
    socket.on('data', (piece) => {
      pieces.push(piece);
      if (piece.at(-1) !== 0x0a) return;
      const soFar = Buffer.concat(pieces).toString('latin1');
      if (!/(?:^|\n)errno=-?\d+\n\n$/.test(soFar)) return;
      // The reply holds the private key.
      for (const each of pieces) each.fill(0);
      text = soFar;
      socket.destroy();
    });
    socket.write(`${request}=1\n\n`);
  });
}

/** One interface, asked again and again. */
export class InterfaceReader {
  readonly #path: string;
  /** It has hung up on the question once, and may have logged it. */
  #knowsMetrics = true;

  constructor(path: string) {
    this.#path = path;
  }

  /** @throws DeviceError when nobody answers there. */
  async read(): Promise<Reading> {
    try {
      const text = (await this.#extended()) || (await converse(this.#path, 'get'));
      return { status: parseGet(text), metrics: parseMetrics(text) };
    } catch (cause) {
      throw new DeviceError('ERR_DEVICE_SOCKET', `${this.#path} does not answer: ${reason(cause)}.`, {
        cause,
      });
    }
  }

  /** Empty when the other side does not know the question. */
  async #extended(): Promise<string> {
    if (!this.#knowsMetrics) return '';
    const text = await converse(this.#path, 'kilowire_get').catch((error: NodeJS.ErrnoException) => {
      // Hanging up on it is another implementation's good right.
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') return '';
      throw error;
    });
    this.#knowsMetrics = text !== '';
    return text;
  }
}

function reason(cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return 'no program serves that interface; start it with kilowire device';
  }
  if (code === 'EACCES') return 'only its owner may ask: run as root';
  return cause instanceof Error ? cause.message : String(cause);
}
