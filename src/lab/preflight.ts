/**
 * What has to hold before a lab is begun, each with a sentence on what to do where it does not.
 * @module
 */
import { accessSync, closeSync, constants, lstatSync, openSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { LabError } from './lab-error.ts';
import { agentProgram, cniProgram, deviceProgram } from './paths.ts';
import { INTERFACE } from './plan.ts';

export const UAPI_DIRECTORY = '/var/run/wireguard';
export const SWITCH_SOCKET = join(UAPI_DIRECTORY, `${INTERFACE}.sock`);

export function requireRoot(): void {
  if (process.geteuid?.() !== 0)
    throw new LabError(
      'ERR_LAB_NOT_ROOT',
      'The lab makes network namespaces, which only root may do: run it again with sudo.',
    );
}

const requireTun = (): void => {
  try {
    closeSync(openSync('/dev/net/tun', constants.O_RDWR));
  } catch (cause) {
    throw new LabError(
      'ERR_LAB_NO_TUN',
      'There is no usable /dev/net/tun: load it with modprobe tun, or give the container the device (--device /dev/net/tun).',
      { cause },
    );
  }
};

/** Whether somebody listens at a unix socket. */
export const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });

/** `wg` finds devices by name under one path: somebody else's kilo0 there must not be hidden by the lab's. */
const requireFreeName = async (): Promise<void> => {
  if (lstatSync(SWITCH_SOCKET, { throwIfNoEntry: false }) === undefined) return;
  if (await answers(SWITCH_SOCKET))
    throw new LabError(
      'ERR_LAB_NAME_TAKEN',
      `Another WireGuard device named ${INTERFACE} runs on this machine (${SWITCH_SOCKET}): stop it first.`,
    );
};

export function requireWritable(file: string): void {
  try {
    accessSync(dirname(resolve(file)), constants.W_OK);
  } catch (cause) {
    throw new LabError('ERR_LAB_STATE', `The file ${file} cannot be written: choose another with --svg.`, {
      cause,
    });
  }
}

export async function preflight(): Promise<void> {
  requireRoot();
  requireTun();
  deviceProgram();
  agentProgram();
  cniProgram();
  await requireFreeName();
}
