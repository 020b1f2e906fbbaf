/**
 * How many handshakes a program that has one core answers in a second of CPU time: what the machine does besides does
 * not count.
 * @module
 */
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { startDaemon, usage, wg } from '../daemon.ts';
import type { SubjectMeasure } from '../measure.ts';
import { inNamespaceAsync, ip, sideA, sideB } from '../namespaces.ts';

/** So many that no single one knocks again within the 20 ms that count as a flood. */
const CLIENTS = 1500;

const raw = (der: Buffer): Buffer => der.subarray(der.length - 32);

export const handshakes: SubjectMeasure = {
  id: 'handshakes',
  name: 'handshakes answered in a second of one core',
  unit: '',
  moreIsBetter: true,
  floor: 1,
  aim: 2,
  rounds: 3,
  async runAlone(subject) {
    const daemon = await startDaemon(subject, sideB, 1);
    try {
      const [server, ...clients] = Array.from({ length: CLIENTS + 1 }, () => {
        const { privateKey, publicKey } = generateKeyPairSync('x25519');
        return {
          privateKey: raw(privateKey.export({ type: 'pkcs8', format: 'der' })),
          publicKey: raw(publicKey.export({ type: 'spki', format: 'der' })),
        };
      });
      if (server === undefined) throw new Error('no key was made');
      const peers = clients.map(({ publicKey }) => `[Peer]\nPublicKey = ${publicKey.toString('base64')}\n`);
      const device = `[Interface]\nPrivateKey = ${server.privateKey.toString('base64')}\nListenPort = 5001\n`;
      wg(sideB, 'setconf', (file) => [file(device + peers.join(''))]);
      ip('-n', sideB.namespace, 'link', 'set', sideB.link, 'up');
      const knocker = join(import.meta.dirname, '../knocker.ts');
      const command = ['taskset', '-c', '0', process.execPath, knocker, sideB.underlay, '5001'];
      const keys = [server.publicKey, ...clients.map(({ privateKey }) => privateKey)];
      process.env.KNOCKER_KEYS = Buffer.concat(keys).toString('base64');
      const before = usage(daemon.pid).cpuSeconds;
      const answered = Number(await inNamespaceAsync(sideA.namespace, command, 60_000));
      return answered / (usage(daemon.pid).cpuSeconds - before);
    } finally {
      delete process.env.KNOCKER_KEYS;
      await daemon.stop();
    }
  },
};
