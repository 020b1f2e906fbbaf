/**
 * What a core dump of a process would hold, and more: every mapping that can be read, shared and file-backed ones too,
 * by /proc/PID/mem while the process stands still (proc(5)).
 * @module
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const CHUNK = 8 << 20;
/** Longer than anything that is looked for. */
const OVERLAP = 128;

export interface Secret {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The ways a key is written: its halves, so that a piece of it shows too, and as text. */
function formsOf(secret: Uint8Array): [string, Buffer][] {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  const wide = (text: string): Buffer => Buffer.from(text, 'utf16le');
  return [
    ['first half', bytes.subarray(0, 16)],
    ['second half', bytes.subarray(16)],
    ['hex', Buffer.from(hex)],
    ['upper-case hex', Buffer.from(hex.toUpperCase())],
    ['hex in 16-bit letters', wide(hex)],
    ['base64', Buffer.from(bytes.toString('base64').slice(0, 42))],
    ['base64 in 16-bit letters', wide(bytes.toString('base64').slice(0, 42))],
  ];
}

/** `name: form at address (mapping)` for each place where a secret lies. The process is stopped meanwhile. */
export function findSecrets(pid: number, secrets: readonly Secret[]): string[] {
  const needles = secrets.flatMap(({ name, bytes }) =>
    formsOf(bytes).map(([form, needle]) => ({ name: `${name}: ${form}`, needle })),
  );
  const found: string[] = [];
  process.kill(pid, 'SIGSTOP');
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    const buffer = Buffer.alloc(CHUNK + OVERLAP);
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const map = /^([0-9a-f]+)-([0-9a-f]+) r\S* \S+ \S+ \S+ *(.*)$/.exec(line);
      if (map === null || map[3] === '[vvar]' || map[3] === '[vvar_vclock]') continue;
      const end = Number.parseInt(map[2] as string, 16);
      for (let at = Number.parseInt(map[1] as string, 16); at < end; at += CHUNK) {
        const length = readAt(memory, buffer, Math.min(CHUNK + OVERLAP, end - at), at);
        const bytes = buffer.subarray(0, length);
        for (const { name, needle } of needles) {
          const offset = bytes.indexOf(needle);
          if (offset >= 0)
            found.push(`${name} at 0x${(at + offset).toString(16)} (${map[3] || 'anonymous'})`);
        }
      }
    }
  } finally {
    closeSync(memory);
    process.kill(pid, 'SIGCONT');
  }
  return found;
}

/** 0 for what cannot be read after all, such as a device's registers. */
function readAt(file: number, buffer: Buffer, length: number, position: number): number {
  try {
    return readSync(file, buffer, 0, length, position);
  } catch {
    return 0;
  }
}
