/**
 * Follows a document word by word: the commands of its ```console blocks, one after the other in one shell, and what the
 * document says they print. A line that begins with `# ` is a command (`\` at its end: it goes on), others are what is
 * printed: in this order, with anything between two of them where a line is `…`, and anything in a line where `…` is.
 * `<!-- not run here: REASON -->` before a block leaves it out.
 * @module
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';

export interface Step {
  /** In the document, from 1. */
  readonly line: number;
  readonly command: string;
  readonly printed: readonly string[];
}

export interface Block {
  readonly line: number;
  /** Why it is not run, as the document says. */
  readonly leftOut: string | undefined;
  readonly steps: readonly Step[];
}

export function blocksOf(text: string): Block[] {
  const lines = text.split('\n');
  const blocks: Block[] = [];
  let leftOut: string | undefined;
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? '';
    const reason = /^<!-- not run here: (.+) -->$/.exec(line)?.[1];
    if (reason !== undefined) leftOut = reason;
    if (line !== '```console') continue;
    const end = lines.indexOf('```', at);
    blocks.push({ line: at + 1, leftOut, steps: stepsOf(lines.slice(at + 1, end), at + 2) });
    leftOut = undefined;
    at = end;
  }
  return blocks;
}

function stepsOf(lines: readonly string[], first: number): Step[] {
  const steps: { line: number; command: string; printed: string[] }[] = [];
  for (const [index, line] of lines.entries()) {
    const last = steps.at(-1);
    if (last?.command.endsWith('\\') && last.printed.length === 0)
      last.command = `${last.command.slice(0, -1)}${line.trim()}`;
    else if (line.startsWith('# ')) steps.push({ line: first + index, command: line.slice(2), printed: [] });
    else last?.printed.push(line);
  }
  return steps;
}

const pattern = (line: string): RegExp =>
  new RegExp(
    `^${line
      .trim()
      .split('…')
      .map((piece) => piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+'))
      .join('.*')}$`,
  );

/** The first line of `printed` that `output` does not have where it should be. */
export function missingLine(printed: readonly string[], output: string): string | undefined {
  const have = output.split('\n').map((line) => line.trim());
  let at = 0;
  let isGap = false;
  for (const line of printed.filter((each) => each.trim() !== '')) {
    if (line.trim() === '…') {
      isGap = true;
      continue;
    }
    const wanted = pattern(line);
    while (at < have.length && have[at] === '') at += 1;
    const found = isGap ? have.findIndex((each, index) => index >= at && wanted.test(each)) : at;
    if (found < 0 || !wanted.test(have[found] ?? '')) return line;
    at = found + 1;
    isGap = false;
  }
  return undefined;
}

/** One shell, in which what a step sets is there for the next. */
export class Session {
  readonly #shell: ChildProcessWithoutNullStreams;
  #text = '';

  /** `before`: what the shell is started by, e.g. `ip netns exec NAME`. */
  constructor(cwd: string, env: NodeJS.ProcessEnv, before: readonly string[] = []) {
    const [program = '', ...args] = [...before, 'bash', '--norc'];
    this.#shell = spawn(program, args, { cwd, env });
    for (const stream of [this.#shell.stdout, this.#shell.stderr])
      stream.setEncoding('utf8').on('data', (piece: string) => {
        this.#text += piece;
      });
  }

  /** What it printed, on either stream. @throws Error when it did not end with 0, or not in time (ms). */
  async run(command: string, timeout = 60_000): Promise<string> {
    const mark = randomUUID();
    this.#text = '';
    this.#shell.stdin.write(`{ ${command}\n} < /dev/null 2>&1\nprintf '\\n%s %s\\n' ${mark} "$?"\n`);
    const end = Date.now() + timeout;
    for (;;) {
      const status = new RegExp(`\\n${mark} (\\d+)\\n`).exec(this.#text);
      if (status !== null) {
        const output = this.#text.slice(0, status.index);
        if (status[1] !== '0') throw new Error(`${command}\nended with ${status[1]}:\n${output}`);
        return output;
      }
      if (Date.now() > end) throw new Error(`${command}\ndid not end; it said:\n${this.#text}`);
      if (this.#shell.exitCode !== null) throw new Error(`the shell ended; it said:\n${this.#text}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async close(): Promise<void> {
    const { exitCode } = this.#shell;
    this.#shell.stdin.end();
    this.#shell.kill('SIGHUP');
    if (exitCode === null) await new Promise((resolve) => this.#shell.once('exit', resolve));
  }
}

/** Does what the document says. @throws Error that names the line which is not so. */
export async function follow(session: Session, name: string, text: string): Promise<number> {
  let done = 0;
  for (const { leftOut, steps } of blocksOf(text)) {
    if (leftOut !== undefined) continue;
    for (const { line, command, printed } of steps) {
      const output = await session.run(command).catch((cause: Error) => {
        throw new Error(`${name}:${line}: ${cause.message}`, { cause });
      });
      const missing = missingLine(printed, output);
      if (missing !== undefined)
        throw new Error(
          `${name}:${line}: the document says it prints\n${missing}\nand it printed\n${output}`,
        );
      done += 1;
    }
  }
  return done;
}
