/**
 * Keys that were replaced, removed or rotated are not in the memory of a running device any more: not as bytes, not half
 * of them, not as hexadecimal or base64. The whole address space is searched, which is more than a core dump holds.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Folder, Host, has, isRoot, root, run } from './host.ts';
import { OneDevice, publicKeyOf } from './one-device.ts';
import { findSecrets, type Secret } from './process-memory.ts';
import type { SecretPeerOrder, SecretSession } from './secret-peer.ts';

const able = isRoot && has('wg');
/** Under noble the device scrubs its heaps a second after a key has gone. */
const PATIENCE = 20_000;
const backends = [
  { crypto: 'wasm', link: 'kwf2s', port: 51_899 },
  { crypto: 'noble', link: 'kwf2n', port: 51_898 },
] as const;
const secret = (name: string, base64: string): Secret => ({ name, bytes: Buffer.from(base64, 'base64') });
const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');

describe.skipIf(!able).each(backends)(
  'the memory of a running device on $crypto',
  ({ crypto, link, port }) => {
    let host: Host;
    let device: OneDevice;
    const folder = new Folder();
    const oldKey = run('wg', 'genkey').trim();
    const newKey = run('wg', 'genkey').trim();
    const peerKey = run('wg', 'genkey').trim();
    const presharedKey = run('wg', 'genpsk').trim();
    const wg = (...args: string[]): void => void run('wg', 'set', link, ...args);
    const look = (...secrets: Secret[]): string[] => findSecrets(device.process.pid as number, secrets);

    /** What is still there when nothing has gone for long. */
    async function left(...secrets: Secret[]): Promise<string[]> {
      const deadline = performance.now() + PATIENCE;
      for (;;) {
        const found = look(...secrets);
        if (found.length === 0 || performance.now() > deadline) return found;
        await sleep(250);
      }
    }

    /** Agrees on sessions with the device, one after the other; their keys. */
    async function agree(sessions: number, devicePublicKey: string): Promise<SecretSession[]> {
      const order: SecretPeerOrder = {
        privateKey: hex(peerKey),
        presharedKey: hex(presharedKey),
        devicePublicKey: hex(devicePublicKey),
        devicePort: port,
        sessions,
      };
      const program = join(root, 'test/netns/secret-peer.ts');
      const child = spawn('ip', ['netns', 'exec', host.name, process.execPath, program]);
      let text = '';
      let complaint = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      child.stderr.on('data', (chunk: Buffer) => {
        complaint += chunk.toString();
      });
      child.stdin.end(`${JSON.stringify(order)}\n`);
      await new Promise((resolve) => child.once('close', resolve));
      const agreed = text.trim().split('\n').filter(Boolean);
      if (agreed.length !== sessions)
        throw new Error(`${agreed.length} of ${sessions} sessions: ${complaint}`);
      return agreed.map((line) => JSON.parse(line) as SecretSession);
    }

    const keysOf = (name: string, { sendKey, receiveKey }: SecretSession): Secret[] => [
      { name: `${name}, to the device`, bytes: Buffer.from(sendKey, 'hex') },
      { name: `${name}, from the device`, bytes: Buffer.from(receiveKey, 'hex') },
    ];

    beforeAll(async () => {
      host = new Host(`kwf2-${crypto}`);
      device = await OneDevice.start(host, link, { LOG_LEVEL: 'verbose', KILOWIRE_CRYPTO: crypto });
      wg('private-key', folder.write('old', oldKey), 'listen-port', String(port));
      wg(
        ...['peer', publicKeyOf(peerKey), 'preshared-key', folder.write('psk', presharedKey)],
        ...['allowed-ips', '10.9.9.2/32'],
      );
      host.ip('link', 'set', link, 'up');
    });
    afterAll(async () => {
      await device?.close();
      host?.remove();
      folder.remove();
    });

    it('holds the private and the preshared key while they are in use: the search finds what is there', () => {
      const found = look(secret('private key', oldKey), secret('preshared key', presharedKey)).join('\n');
      expect(found).toContain('private key: second half');
      expect(found).toContain('preshared key: second half');
    });

    it('has forgotten the keys of a session once two others have followed it', async () => {
      const sessions = await agree(4, publicKeyOf(oldKey));
      const latest = sessions.at(-1) as SecretSession;
      expect(look(...keysOf('session 4', latest)).join('\n')).toContain(
        'session 4, to the device: first half',
      );
      const old = sessions.slice(0, 2).flatMap((keys, i) => keysOf(`session ${i + 1}`, keys));
      expect(await left(...old)).toEqual([]);
    });

    it('has forgotten a private key that was replaced', async () => {
      wg('private-key', folder.write('new', newKey));
      expect(look(secret('new key', newKey)).join('\n')).toContain('new key: second half');
      expect(await left(secret('old key', oldKey))).toEqual([]);
    });

    it('has forgotten preshared key and sessions of a peer that was removed', async () => {
      const sessions = await agree(2, publicKeyOf(newKey));
      wg('peer', publicKeyOf(peerKey), 'remove');
      const keys = sessions.flatMap((session, i) => keysOf(`session ${i + 1}`, session));
      expect(await left(secret('preshared key', presharedKey), ...keys)).toEqual([]);
    });
  },
);
