/**
 * The key a node will have: made and kept beside the one it has, then put in its place. After a crash at any moment there is one
 * whole key in force, and the other agents know it.
 * @module
 */
import { closeSync, fstatSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { AgentError } from './agent-error.ts';
import { loadNodeKey, makeKey, type NodeKey, publicKeyOf, readKey } from './key-file.ts';

export interface KeyRotation {
  /** Base64: the public half of the next key, which is made when there is none. */
  readonly announce: () => string;
  /** The next key is the key from now on, and the one before is nowhere any more. */
  readonly turn: () => void;
}

/** Like `loadNodeKey`, and it can be exchanged: `privateKey` stays the same buffer, so who holds it has the new one. */
export const rotatingNodeKey = (directory: string): NodeKey => {
  const path = join(directory, 'key');
  const nextPath = `${path}.next`;
  const { privateKey, publicKey, found } = loadNodeKey(directory);
  const kept = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (cause) {
      throw new AgentError('ERR_AGENT_KEY', `The node's next key cannot be kept in ${nextPath}.`, { cause });
    }
  };
  const key = {
    privateKey,
    publicKey,
    found,
    rotation: {
      announce: () =>
        kept(() => {
          const next = readKey(nextPath) ?? makeKey(nextPath);
          const announced = publicKeyOf(next);
          next.fill(0);
          return announced;
        }),
      turn: () =>
        kept(() => {
          const next = readKey(nextPath) ?? makeKey(nextPath);
          // Held open, so that what it was can be overwritten when it is the key no more.
          const old = openSync(path, 'r+');
          try {
            renameSync(nextPath, path);
            syncFolder(directory);
            writeSync(old, Buffer.alloc(fstatSync(old).size), 0, undefined, 0);
            fsyncSync(old);
          } finally {
            closeSync(old);
          }
          privateKey.set(next);
          next.fill(0);
          key.publicKey = publicKeyOf(privateKey);
        }),
    },
  };
  return key;
};

const syncFolder = (directory: string): void => {
  const fd = openSync(directory, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};
