/**
 * `kilowire top IFNAME`: peers, rates, handshakes and drops of a running interface, live in a terminal; one reading and
 * done where there is none.
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import type { InterfaceReader } from '../device/uapi-client.ts';
import { type Sample, screen, topView } from './top-view.ts';

interface Flags {
  readonly json?: boolean;
  /** Seconds. */
  readonly interval: number;
}

/** Half a minute of history, and one more to subtract from. */
const SAMPLES = 31;
/** Lines of the screen that are not peers: heading, table head, drops. */
const OTHER_LINES = 12;

// xterm's private modes (ECMA-48 CSI): another screen, no cursor, and back.
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';

const seconds = (text: string): number => {
  const value = Number(text);
  if (!(value >= 0.1 && value <= 3600)) throw new InvalidArgumentError('It must be 0.1 to 3600 seconds.');
  return value;
};

async function sample(reader: InterfaceReader): Promise<Sample> {
  return { ...(await reader.read()), at: performance.now(), wall: Date.now() };
}

/** Two readings an interval apart, so that there are rates. */
async function once(name: string, reader: InterfaceReader, { interval, json }: Flags): Promise<void> {
  const before = await sample(reader);
  await sleep(interval * 1000);
  const view = topView(name, [before, await sample(reader)]);
  const text = json ? JSON.stringify(view, null, 2) : screen(view, Number.POSITIVE_INFINITY).join('\n');
  process.stdout.write(`${text}\n`);
}

/** Until q, Ctrl-C or a signal, or until the interface is gone. */
async function live(name: string, reader: InterfaceReader, interval: number): Promise<void> {
  const { stdin, stdout } = process;
  const over = new AbortController();
  const leave = (): void => over.abort();
  const onKey = (key: Buffer): void => {
    // q, Ctrl-C, Ctrl-D
    if (key.some((byte) => byte === 0x71 || byte === 3 || byte === 4)) leave();
  };
  const samples = [await sample(reader)];
  stdout.write(ENTER);
  if (stdin.isTTY) {
    stdin.setRawMode(true);
    stdin.on('data', onKey);
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);
  try {
    while (!over.signal.aborted) {
      const { columns = 80, rows = 24 } = stdout;
      const lines = screen(topView(name, samples), rows - OTHER_LINES).slice(0, rows - 1);
      const text = lines.map((line) => `${line.slice(0, columns)}${CLEAR_LINE}\n`).join('');
      stdout.write(`${HOME}${text}${CLEAR_BELOW}`);
      await sleep(interval * 1000, undefined, { signal: over.signal }).catch(() => undefined);
      if (over.signal.aborted) break;
      samples.push(await sample(reader));
      if (samples.length > SAMPLES) samples.shift();
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
}

export const topCommand = (): Command =>
  new Command('top')
    .description('show the peers, rates, handshakes and drops of a running interface')
    .argument('<interface>', 'name of the interface')
    .option('--json', 'one JSON document on standard output, nothing else there')
    .option('--interval <seconds>', 'time between readings', seconds, 1)
    .addHelpText(
      'after',
      `
Live in a terminal, until q; elsewhere two readings an interval apart. Drop reasons: docs/drops.md.

Examples:
  kilowire top wg0
  kilowire top wg0 --json | jq .drops`,
    )
    .action(async (name: string, flags: Flags) => {
      const { InterfaceReader } = await import('../device/uapi-client.ts');
      const { uapiDirectory, uapiPath } = await import('../device/uapi-socket.ts');
      const reader = new InterfaceReader(uapiPath(uapiDirectory(process.env), name));
      if (flags.json === true || !process.stdout.isTTY) await once(name, reader, flags);
      else await live(name, reader, flags.interval);
    });
