/**
 * The page's side of /api/v1.0: questions with the token, and the stream of changes, taken up again when it breaks.
 * Source: WHATWG HTML, "Server-sent events" (EventSource itself cannot carry a token).
 * @module
 */
import type { MeshSnapshot } from '../mesh-snapshot.ts';
import { type SnapshotChange, withChange } from '../snapshot-diff.ts';

export interface FollowState {
  readonly snapshot: MeshSnapshot | null;
  readonly connected: boolean;
  /** Why there is no connection. */
  readonly fault: string | null;
}

const BASE = './api/v1.0';
const TOKEN = 'kilowire-token';

/** Out of the address, where it is neither sent nor logged, into this tab's memory. */
export const takeToken = (): string => {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given !== null) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(null, '', location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN) ?? '';
};

export class InterfaceError extends Error {
  override readonly name = 'InterfaceError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class InterfaceClient {
  readonly #token: string;

  constructor(token: string) {
    this.#token = token;
  }

  get hasToken(): boolean {
    return this.#token !== '';
  }

  async ask<Answer>(path: string, method = 'GET', body?: unknown): Promise<Answer> {
    const response = await this.#fetch(path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    });
    return response.status === 204 ? (undefined as Answer) : ((await response.json()) as Answer);
  }

  async text(path: string): Promise<string> {
    return await (await this.#fetch(path, {})).text();
  }

  /** Calls back with every new state until the returned function is called. */
  follow(onState: (state: FollowState) => void): () => void {
    const over = new AbortController();
    void this.#follow(onState, over.signal);
    return () => over.abort();
  }

  async #follow(onState: (state: FollowState) => void, signal: AbortSignal): Promise<void> {
    let snapshot: MeshSnapshot | null = null;
    let pause = 500;
    while (!signal.aborted) {
      try {
        const response = await this.#fetch('/mesh/events', { signal });
        for await (const { event, data } of eventsOf(response)) {
          pause = 500;
          if (event === 'snapshot') snapshot = data as MeshSnapshot;
          else if (event === 'change' && snapshot !== null)
            snapshot = withChange(snapshot, data as SnapshotChange);
          onState({ snapshot, connected: true, fault: null });
        }
        throw new Error('The connection has ended.');
      } catch (error) {
        if (signal.aborted) return;
        const fault =
          error instanceof InterfaceError
            ? error.message
            : 'No answer from what serves this page: is it still running?';
        onState({ snapshot, connected: false, fault });
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(pause * 2, 5000);
    }
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers: Record<string, string> = { ...(init.headers as Record<string, string> | undefined) };
    if (this.hasToken) headers.authorization = `Bearer ${this.#token}`;
    const response = await fetch(`${BASE}${path}`, { ...init, headers });
    if (response.ok) return response;
    const { error } = (await response.json().catch(() => ({}))) as {
      error?: { code: string; message: string };
    };
    throw new InterfaceError(error?.code ?? '', error?.message ?? `It answered ${response.status}.`);
  }
}

async function* eventsOf(response: Response): AsyncGenerator<{ event: string; data: unknown }> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return;
  const pieces: string[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    pieces.push(value);
    if (!value.includes('\n\n') && !pieces.slice(-2).join('').includes('\n\n')) continue;
    const blocks = pieces.splice(0).join('').split('\n\n');
    pieces.push(blocks.pop() ?? '');
    for (const block of blocks) {
      const event = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (event !== undefined && data !== undefined) yield { event, data: JSON.parse(data) };
    }
  }
}
