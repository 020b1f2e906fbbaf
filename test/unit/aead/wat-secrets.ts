/**
 * Follows what is read from memory through the text of a WASM module, and tells where it decides anything: a branch, a
 * choice, an address, a division. Everything in memory counts as secret, but for what is read from constant addresses as
 * i32, where the kernel keeps its own pointers; arguments count as public, for they are addresses, lengths and counters.
 * Flow-insensitive in locals, so it may accuse too much, never too little.
 * Format: WebAssembly specification §6 (text format), flat, one instruction a line, as binaryen prints it.
 * @module
 */

interface Wat {
  readonly params: number;
  readonly results: number;
  /** undefined for an import. */
  readonly body: readonly string[] | undefined;
}

interface Frame {
  readonly kind: string;
  readonly base: number;
  readonly results: number;
}

const UNARY =
  /extract_lane|splat$|eqz$|extend|trunc|wrap|convert|reinterpret|\.neg$|\.not$|\.abs$|clz$|ctz$|popcnt$|sqrt$|all_true|any_true|bitmask|nearest$|floor$/;
const typesIn = (header: string, word: 'param' | 'result'): number =>
  [...header.matchAll(new RegExp(`\\(${word} (?:\\$\\S+ )?([^)]*)\\)`, 'g'))].flatMap(([, types]) =>
    (types as string).split(' '),
  ).length;

export class WatSecrets {
  /** `function: instruction`, in the order met. */
  readonly decisions: string[] = [];
  readonly #functions = new Map<string, Wat>();
  readonly #known = new Map<string, boolean>();

  constructor(text: string) {
    let open: { name: string; header: string; body: string[] } | undefined;
    for (const line of text.split('\n')) {
      const start = /^ \((?:import \S+ \S+ \()?func (\S+)(.*)$/.exec(line);
      if (start !== null) {
        const [, name, header] = start as unknown as [string, string, string];
        const shape = { params: typesIn(header, 'param'), results: typesIn(header, 'result') };
        if (line.startsWith(' (import')) this.#functions.set(name, { ...shape, body: undefined });
        else {
          open = { name, header, body: [] };
          this.#functions.set(name, { ...shape, body: open.body });
        }
      } else if (line === ' )') open = undefined;
      else if (open !== undefined && !line.trim().startsWith('(local ')) open.body.push(line.trim());
    }
  }

  /** The functions that were looked through. */
  get followed(): string[] {
    return [...this.#known.keys()].map((key) => key.split(' ')[0] as string);
  }

  /** Whether the function's result depends on memory; its arguments are public unless said otherwise. */
  follow(name: string, secretArguments: readonly boolean[] = []): boolean {
    const wat = this.#functions.get(name);
    if (wat === undefined) throw new Error(`there is no function ${name}`);
    if (wat.body === undefined) return false;
    const key = `${name} ${secretArguments.map(Number).join('')}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const locals = new Map<string, boolean>(secretArguments.map((secret, i) => [`$${i}`, secret]));
    let before = -1;
    let run = { secret: false, decisions: [] as string[] };
    while ([...locals.values()].filter(Boolean).length !== before) {
      before = [...locals.values()].filter(Boolean).length;
      run = this.#run(name, wat.body, locals);
    }
    this.#known.set(key, run.secret);
    this.decisions.push(...run.decisions);
    return run.secret;
  }

  #run(name: string, body: readonly string[], locals: Map<string, boolean>) {
    const decisions: string[] = [];
    const stack: { secret: boolean; constant?: true }[] = [];
    const frames: Frame[] = [];
    let dead = 0;
    let secretResult = false;
    const pop = () => {
      const value = stack.pop();
      if (value === undefined) throw new Error(`${name}: nothing on the stack`);
      return value;
    };
    const push = (secret: boolean) => stack.push({ secret });
    const decide = (what: string, secret: boolean) => {
      if (secret) decisions.push(`${name.replace('$src/aead/kernel/', '')}: ${what}`);
    };
    for (const line of body) {
      const [op, argument = ''] = line.split(' ') as [string, string?];
      if (dead > 0) {
        // What follows a jump is not reached; its blocks are counted off.
        if (op === 'if' || op === 'block' || op === 'loop') dead += 1;
        else if (op === 'end') dead -= 1;
        if (dead > 1 || (dead === 1 && op !== 'else')) continue;
        dead = 0;
        const frame = frames.at(-1);
        if (frame === undefined) continue;
        while (stack.length < frame.base + frame.results) push(false);
        stack.length = frame.base + frame.results;
      }
      if (op === 'if' || op === 'block' || op === 'loop') {
        if (op === 'if') decide('if', pop().secret);
        frames.push({ kind: op, base: stack.length, results: typesIn(line, 'result') });
      } else if (op === 'else') stack.length = (frames.at(-1) as Frame).base;
      else if (op === 'end') frames.pop();
      else if (op === 'br' || op === 'return' || op === 'unreachable') {
        if (op === 'return' && stack.length > 0) secretResult ||= pop().secret;
        dead = 1;
      } else if (op === 'br_if') decide('br_if', pop().secret);
      else if (op === 'local.get') push(locals.get(argument) ?? false);
      else if (op === 'local.set') locals.set(argument, pop().secret || (locals.get(argument) ?? false));
      else if (op === 'local.tee')
        locals.set(argument, (stack.at(-1)?.secret ?? false) || (locals.get(argument) ?? false));
      else if (op === 'global.get') push(false);
      else if (op === 'global.set') decide('global.set', pop().secret);
      else if (op.endsWith('.const')) stack.push({ secret: false, constant: true });
      else if (op.includes('.load')) {
        const address = pop();
        decide(op, address.secret);
        push(!(op === 'i32.load' && address.constant));
      } else if (op.includes('.store')) {
        pop();
        decide(op, pop().secret);
      } else if (op === 'memory.fill' || op === 'memory.copy') {
        decide(
          op,
          [pop(), pop(), pop()].some(({ secret }) => secret),
        );
      } else if (op === 'select') {
        decide(op, pop().secret);
        push([pop(), pop()].some(({ secret }) => secret));
      } else if (op === 'call') {
        const wat = this.#functions.get(argument);
        if (wat === undefined) throw new Error(`${name}: calls ${argument}, which is not there`);
        const given = Array.from({ length: wat.params }, () => pop().secret).reverse();
        const secret = this.follow(argument, given);
        if (wat.results > 0) push(secret);
      } else if (op === 'drop') pop();
      else if (op === 'v128.bitselect') push([pop(), pop(), pop()].some(({ secret }) => secret));
      else if (UNARY.test(op)) push(pop().secret);
      else {
        const secret = [pop(), pop()].some((value) => value.secret);
        if (/\.(div|rem)_/.test(op)) decide(op, secret);
        push(secret);
      }
    }
    return { secret: secretResult || (stack.at(-1)?.secret ?? false), decisions };
  }
}
