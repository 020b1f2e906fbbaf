/**
 * A screen of its own that is written anew again and again, and put back at the end.
 * Source: xterm's private modes, ECMA-48 (CSI).
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';

const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

export interface LiveScreenOptions {
  /** Milliseconds between two. */
  readonly interval: number;
  /** For so many rows. */
  readonly lines: (rows: number) => readonly string[] | Promise<readonly string[]>;
}

/** Until q, Ctrl-C or a signal, or until `lines` throws. */
export const liveScreen = async ({ interval, lines }: LiveScreenOptions): Promise<void> => {
  const { stdin, stdout } = process;
  const over = new AbortController();
  const leave = (): void => over.abort();
  const onKey = (key: Buffer): void => {
    // q, Ctrl-C, Ctrl-D
    if (key.some((byte) => byte === 0x71 || byte === 3 || byte === 4)) leave();
  };
  const first = await lines(stdout.rows ?? 24);
  stdout.write(ENTER);
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    stdin.on('data', onKey);
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);
  try {
    let shown = first;
    while (!over.signal.aborted) {
      const { columns = 80, rows = 24 } = stdout;
      const text = shown
        .slice(0, rows - 1)
        .map((line) => `${line.slice(0, columns)}${CLEAR_LINE}\n`)
        .join('');
      stdout.write(`${HOME}${text}${CLEAR_BELOW}`);
      await sleep(interval, undefined, { signal: over.signal }).catch(() => undefined);
      if (!over.signal.aborted) shown = await lines(rows);
    }
  } finally {
    stdout.write(LEAVE);
    if (stdin.isTTY) {
      stdin.off('data', onKey);
      stdin.setRawMode(false);
      stdin.pause();
    }
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, leave);
  }
};
