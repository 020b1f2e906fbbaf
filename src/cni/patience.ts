/**
 * How long a call may wait for somebody else. One that has a process to itself waits as long as a runtime does; one that
 * is served by a process with others in its queue gives up at once, and is begun again in a process of its own.
 * @module
 */

let serving = false;

let warn: (() => void) | undefined;

/** `warn` is called once, when this process is about to wait for another one. */
export function beforeWaiting(call: () => void): void {
  warn = call;
}

export function aboutToWait(): void {
  const call = warn;
  warn = undefined;
  call?.();
}

/** From here on this process works for many. */
export function serveMany(): void {
  serving = true;
}

export const patience = (aloneMs: number, servingMs: number): number => (serving ? servingMs : aloneMs);
