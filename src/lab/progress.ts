/**
 * Tells a person what is going on: one line per step, with a spinner on a terminal and plainly elsewhere.
 * @module
 */

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 80;
const CLEAR_LINE = '\r\x1b[2K';

export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export class Progress {
  readonly #out: Output;
  readonly #live: boolean;
  #timer: NodeJS.Timeout | null = null;
  #frame = 0;
  #text = '';

  constructor(out: Output) {
    this.#out = out;
    this.#live = out.isTTY === true && process.env.TERM !== 'dumb';
  }

  /**
   * Shows `title` while `work` runs, then what it found. `note` given to the work changes the running line.
   * A result that says it is not ok is marked so; an exception too, and goes on to the caller.
   */
  async step<T extends { readonly detail?: string; readonly ok?: boolean }>(
    title: string,
    work: (note: (text: string) => void) => Promise<T>,
  ): Promise<T> {
    const started = performance.now();
    this.#start(title);
    try {
      const result = await work((text) => {
        this.#text = `${title}: ${text}`;
      });
      const detail = result.detail === undefined ? '' : `: ${result.detail}`;
      this.#finish(
        result.ok === false ? '✗' : '✓',
        `${title}${detail} (${seconds(performance.now() - started)})`,
      );
      return result;
    } catch (error) {
      this.#finish('✗', title);
      throw error;
    }
  }

  line(text = ''): void {
    this.#out.write(`${text}\n`);
  }

  #start(title: string): void {
    this.#text = title;
    if (!this.#live) return;
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
  }

  #draw(): void {
    this.#frame = (this.#frame + 1) % FRAMES.length;
    // A line that wraps cannot be cleared again.
    const room = (this.#out.columns ?? 80) - 3;
    this.#out.write(`${CLEAR_LINE}${FRAMES[this.#frame]} ${this.#text.slice(0, room)}`);
  }

  #finish(mark: string, text: string): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#out.write(`${this.#live ? CLEAR_LINE : ''}${mark} ${text}\n`);
  }
}
