/**
 * What a connection left that was killed, taken away; and one that runs, ended.
 * @module
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { KubernetesClient } from '../../agent/kubernetes/client.ts';
import type { Log } from '../../agent/log.ts';
import { openRouteSocket } from '../../linux/rtnetlink.ts';
import { AdminError } from '../admin-error.ts';
import { HostLink } from './host-link.ts';
import { deletePeer } from './own-peer.ts';
import { isRunning, readSession, removeSession, type Session } from './session-file.ts';
import { revertLink } from './split-dns.ts';

export interface LeftoverOptions {
  readonly client: KubernetesClient;
  readonly log: Log;
  readonly interfaceName: string;
  readonly stateDirectory: string;
}

const PATIENCE_MS = 15_000;
const LOOK_MS = 50;

/** @throws AdminError while it runs. */
export const clearLeftovers = async (options: LeftoverOptions): Promise<boolean> => {
  const { stateDirectory, interfaceName } = options;
  const left = readSession(stateDirectory, interfaceName);
  if (left === null) return false;
  if (isRunning(left)) {
    throw new AdminError(
      'ERR_ADMIN_CONNECT',
      `Process ${left.pid} is connected by ${interfaceName} already: end it (kill ${left.pid}), or choose another --interface.`,
    );
  }
  await clear(left, options);
  return true;
};

const clear = async (
  left: Session,
  { client, log, interfaceName, stateDirectory }: LeftoverOptions,
): Promise<void> => {
  log.info('cleaning up after a connection that was killed', { interface: interfaceName });
  if (left.madePeer !== null) await deletePeer(client, left.madePeer);
  // A link that goes takes its resolver along.
  if (!left.madeInterface) await revertLink(interfaceName);
  const socket = openRouteSocket();
  try {
    new HostLink(socket, interfaceName).remove(left.madeInterface);
  } finally {
    socket.close();
  }
  removeSession(stateDirectory, interfaceName);
};

/** Ends a connection that runs, or clears up after one that was killed; false when there is none. */
export const disconnect = async (options: LeftoverOptions): Promise<boolean> => {
  const { stateDirectory, interfaceName, log } = options;
  const session = readSession(stateDirectory, interfaceName);
  if (session === null) return false;
  if (isRunning(session)) {
    log.info('ending the connection', { interface: interfaceName, pid: session.pid });
    process.kill(session.pid, 'SIGTERM');
    const end = performance.now() + PATIENCE_MS;
    while (isRunning(session)) {
      if (performance.now() > end)
        throw new AdminError(
          'ERR_ADMIN_CONNECT',
          `Process ${session.pid} does not end: kill -9 ${session.pid}, then call this again.`,
        );
      await delay(LOOK_MS);
    }
  }
  // It took everything away itself, if it could.
  await clearLeftovers(options);
  return true;
};
