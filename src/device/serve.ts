/**
 * Runs one interface in this process until it is deleted, its socket file is removed, or the process is told to end.
 * @module
 */
import * as libc from '../linux/libc.ts';
import type { TunDevice } from '../tun/tun-device.ts';
import { Device } from './device.ts';
import type { Log } from './log.ts';
import { UapiServer } from './uapi-server.ts';
import type { SocketFile } from './uapi-socket.ts';

export interface ServeOptions {
  readonly tun: TunDevice;
  /** A listening unix socket. */
  readonly listener: number;
  readonly socketFile: SocketFile;
  readonly log: Log;
}

/** Resolves when the interface has been closed and its socket file removed. */
export async function serveDevice({ tun, listener, socketFile, log }: ServeOptions): Promise<void> {
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const device = new Device({
    tun,
    log,
    crypto: process.env.KILOWIRE_CRYPTO === 'noble' ? 'noble' : 'wasm',
    simd: process.env.KILOWIRE_SIMD === '128' ? 128 : 256,
    onGone: (error) => {
      if (error !== undefined) {
        log.error(error.message);
        process.exitCode = 1;
      }
      end();
    },
  });
  const server = new UapiServer(device, listener, (error) => {
    log.error(`UAPI: ${error.message}`);
    end();
  });
  const stopWatching = socketFile.onGone(() => {
    log.verbose('UAPI: the socket file is gone');
    end();
  });
  process.once('SIGTERM', () => end());
  process.once('SIGINT', () => end());
  log.verbose('Device started');
  await over;
  log.verbose('Device closing');
  stopWatching();
  server.close();
  socketFile.remove();
  await device.close();
  libc.close(tun.fd);
  log.verbose('Device closed');
}
