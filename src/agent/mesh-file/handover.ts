/**
 * One hand on a host at a time: whoever keeps a mesh by a file listens on a socket beside its key, and lets go when an agent
 * comes. Nothing of the mesh is touched by that: device, routes and rules stay as they are.
 * @module
 */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { AgentError } from '../agent-error.ts';

const PATIENCE_MS = 15_000;
const LET_GO = 'let go\n';

const pathOf = (stateDirectory: string, interfaceName: string): string =>
  join(stateDirectory, `mesh-${interfaceName}.sock`);

/** Calls `onAsked` when an agent comes, which waits until what is answered here is called. @throws AgentError when somebody listens. */
export const holdMesh = async (
  stateDirectory: string,
  interfaceName: string,
  onAsked: () => void,
): Promise<() => void> => {
  const path = pathOf(stateDirectory, interfaceName);
  mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
  if (await isHeld(path))
    throw new AgentError(
      'ERR_AGENT_MESH_FILE',
      `Another kilowire mesh keeps ${interfaceName} already: end it first, or choose another interface in the file.`,
    );
  rmSync(path, { force: true });
  const streams = new Set<Socket>();
  const server = createServer((stream) => {
    streams.add(stream);
    stream.on('close', () => streams.delete(stream));
    stream.on('error', () => {});
    stream.on('data', (piece) => {
      if (piece.toString('latin1') === LET_GO) onAsked();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  chmodSync(path, 0o600);
  return () => {
    server.close();
    for (const stream of streams) stream.destroy();
  };
};

const isHeld = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const stream = connect(path);
    stream.on('connect', () => {
      stream.destroy();
      resolve(true);
    });
    stream.on('error', () => resolve(false));
  });

/** Asks whoever keeps the mesh by a file to let go, and waits until it has; false when nobody does. */
export const takeMesh = (stateDirectory: string, interfaceName: string): Promise<boolean> =>
  new Promise((resolve) => {
    const stream = connect(pathOf(stateDirectory, interfaceName), () => stream.write(LET_GO));
    let held = false;
    stream.on('connect', () => {
      held = true;
    });
    stream.setTimeout(PATIENCE_MS, () => stream.destroy());
    stream.on('error', () => resolve(held));
    // The other side keeps it open for as long as it lives.
    stream.on('close', () => resolve(held));
    stream.resume();
  });
