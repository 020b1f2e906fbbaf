/**
 * One page that listens: the whole snapshot first, then what changes. A page that does not keep up is let go; it comes back
 * by itself and begins anew.
 * Source: WHATWG HTML, "Server-sent events".
 * @module
 */
import type { ServerResponse } from 'node:http';
import type { MeshSource } from './mesh-feed.ts';
import type { MeshSnapshot } from './mesh-snapshot.ts';
import { changeBetween } from './snapshot-diff.ts';

const BEAT_MS = 15_000;
const MOST_WAITING_BYTES = 16 << 20;

export const streamEvents = (source: MeshSource, response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' });
  let told: MeshSnapshot | null = null;
  const send = (event: string, data: unknown): void => {
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    if (response.writableLength > MOST_WAITING_BYTES) response.destroy();
  };
  const tell = (snapshot: MeshSnapshot): void => {
    if (told === null) send('snapshot', snapshot);
    else send('change', changeBetween(told, snapshot));
    told = snapshot;
  };
  if (source.current !== null) tell(source.current);
  const leave = source.subscribe(tell);
  const beat = setInterval(() => response.write(': still here\n\n'), BEAT_MS);
  beat.unref();
  response.on('close', () => {
    clearInterval(beat);
    leave();
  });
};
