/**
 * The device's log: lines as wireguard-go writes them, on standard output, so that whoever reads those reads ours.
 *
 *     DEBUG: (wg0) 2026/11/21 10:00:00 text
 * @module
 */

export type LogLevel = 'silent' | 'error' | 'verbose';

/** LOG_LEVEL as wireguard-go reads it: verbose or debug, error, silent; anything else is error. */
export function logLevel(value: string | undefined): LogLevel {
  if (value === 'verbose' || value === 'debug') return 'verbose';
  return value === 'silent' ? 'silent' : 'error';
}

const two = (value: number): string => String(value).padStart(2, '0');

function stamp(date: Date): string {
  const day = `${date.getFullYear()}/${two(date.getMonth() + 1)}/${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Never hand it key material: peers are named by `peerName`. */
export class Log {
  readonly #prefix: string;
  readonly #level: LogLevel;

  constructor(interfaceName: string, level: LogLevel) {
    this.#prefix = `(${interfaceName})`;
    this.#level = level;
    // Whoever read the log may go away; the interface stays.
    if (!process.stdout.listenerCount('error')) process.stdout.on('error', () => undefined);
  }

  verbose(text: string): void {
    if (this.#level === 'verbose') this.#write('DEBUG', text);
  }

  error(text: string): void {
    if (this.#level !== 'silent') this.#write('ERROR', text);
  }

  #write(label: string, text: string): void {
    process.stdout.write(`${label}: ${this.#prefix} ${stamp(new Date())} ${text}\n`);
  }
}

/** A peer as logs name it: the first and last four characters of its public key. */
export function peerName(publicKey: Uint8Array): string {
  const text = Buffer.from(publicKey).toString('base64');
  return `peer(${text.slice(0, 4)}…${text.slice(39, 43)})`;
}
