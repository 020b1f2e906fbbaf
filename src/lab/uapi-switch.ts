/**
 * One control socket for many devices of one name. All nodes call their interface kilo0 and share one file system, but `wg`
 * looks for /var/run/wireguard/kilo0.sock whatever namespace it runs in. The kernel, though, remembers for a connected
 * socket in which network namespace the *connecting* side made it (SIOCGSKNS, linux/sockios.h): so this listener asks for
 * that, and passes the conversation on to the device of that namespace. Whoever calls from elsewhere hears ENODEV.
 * @module
 */
import { closeSync, fstatSync, mkdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { sys } from '#sys';
import { descriptorOf } from './namespace-sockets.ts';

const SIOCGSKNS = 0x894c;
const ENODEV = 19;

/** A network namespace as the kernel numbers it. */
export const namespaceKey = ({ dev, ino }: { readonly dev: number; readonly ino: number }): string =>
  `${dev}:${ino}`;

const callerNamespace = (socket: Socket): string | null => {
  const fd = descriptorOf(socket);
  if (fd < 0) return null;
  let namespace: number;
  try {
    namespace = sys.ioctl(fd, SIOCGSKNS, 0);
  } catch {
    return null; // an old kernel: nobody is let through rather than the wrong one
  }
  try {
    return namespaceKey(fstatSync(namespace));
  } finally {
    closeSync(namespace);
  }
};

const refuse = (socket: Socket): void => {
  // `wg` writes its request first and then reads; an answer before that would be a broken pipe for it. In the answer to a
  // `set` it turns the sign of the number round, in that to a `get` it reads digits only.
  socket.once('data', (request) => {
    const sign = request.toString('latin1', 0, 3) === 'get' ? '' : '-';
    socket.end(`errno=${sign}${ENODEV}\n\n`);
  });
};

const splice = (caller: Socket, devicePath: string): void => {
  const device = connect(devicePath);
  let connected = false;
  device.on('error', () => {
    if (connected) caller.destroy();
    else refuse(caller); // its process has died
    caller.resume();
  });
  caller.on('error', () => device.destroy());
  device.on('connect', () => {
    connected = true;
    caller.pipe(device);
    device.pipe(caller);
  });
};

/** Listens at `path`; `devices` maps namespaceKey to the private socket of the device there. */
export function serveUapiSwitch(path: string, devices: ReadonlyMap<string, string>): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (caller) => {
    caller.on('error', () => caller.destroy());
    const device = devices.get(callerNamespace(caller) ?? '');
    if (device === undefined) {
      refuse(caller);
      caller.resume();
    } else {
      splice(caller, device);
    }
  });
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  rmSync(path, { force: true });
  const mask = process.umask(0o077); // only root may talk to it
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve(server));
    process.umask(mask);
  });
}
