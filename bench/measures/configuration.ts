/**
 * How long Debian's `wg` takes to put a large configuration into a running program, and to read it back.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDaemon, wg } from '../daemon.ts';
import type { SubjectMeasure } from '../measure.ts';
import { inNamespace, sideA } from '../namespaces.ts';

const key = (): string => randomBytes(32).toString('base64');

/** A configuration of so many peers with one address each. */
export function configurationOf(peers: number): string {
  const lines = ['[Interface]', `PrivateKey = ${key()}`, 'ListenPort = 5001'];
  for (let i = 0; i < peers; i += 1) {
    lines.push(
      '[Peer]',
      `PublicKey = ${key()}`,
      `AllowedIPs = 10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`,
    );
  }
  return `${lines.join('\n')}\n`;
}

/** One peer with 65,280 addresses of each family. */
function manyAddresses(): string {
  const lines = ['[Interface]', `PrivateKey = ${key()}`, '[Peer]', `PublicKey = ${key()}`];
  for (let i = 0; i < 255; i += 1) {
    const row: string[] = [];
    for (let j = 0; j < 256; j += 1)
      row.push(`10.0.${i}.${j}/32`, `fd09::${i.toString(16)}:${j.toString(16)}/128`);
    lines.push(`AllowedIPs = ${row.join(', ')}`);
  }
  return `${lines.join('\n')}\n`;
}

const setconf = (id: string, name: string, text: () => string): SubjectMeasure => ({
  id,
  name: `wg setconf, ${name}`,
  unit: 'ms',
  moreIsBetter: false,
  floor: 1,
  aim: 0.5,
  async runAlone(subject) {
    const daemon = await startDaemon(subject, sideA);
    try {
      const configuration = text();
      let elapsed = 0;
      wg(sideA, 'setconf', (file) => {
        const path = file(configuration);
        elapsed = -performance.now();
        return [path];
      });
      return elapsed + performance.now();
    } finally {
      await daemon.stop();
    }
  },
});

/** What `wg show LINK dump` takes with so many peers. */
export const dump5000: SubjectMeasure = {
  id: 'dump5000',
  name: 'wg show dump, 5,000 peers',
  unit: 'ms',
  moreIsBetter: false,
  async runAlone(subject) {
    const daemon = await startDaemon(subject, sideA);
    try {
      wg(sideA, 'setconf', (file) => [file(configurationOf(5000))]);
      // Peers are still being started when `wg` has been answered.
      await sleep(1000);
      const began = performance.now();
      const lines = inNamespace(sideA.namespace, ['wg', 'show', sideA.link, 'dump'], 20_000).split('\n');
      const elapsed = performance.now() - began;
      if (lines.length < 5001) throw new Error(`${lines.length} lines of 5,001`);
      return elapsed;
    } finally {
      await daemon.stop();
    }
  },
};

export const setconf1000: SubjectMeasure = setconf('setconf1000', '1,000 peers', () => configurationOf(1000));
export const setconf5000: SubjectMeasure = setconf('setconf5000', '5,000 peers', () => configurationOf(5000));
export const setconfIps: SubjectMeasure = setconf('setconf-ips', '65,280 × 2 allowed IPs', manyAddresses);
