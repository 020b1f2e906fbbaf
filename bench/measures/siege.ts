/**
 * What a stream keeps while somebody without a key floods the receiver with forged initiations, as many as one core can
 * send, one by one or in trains. Only ours is flooded: the other program's number is what it does in peace.
 * @module
 */
import { join } from 'node:path';
import { tcp } from '../iperf.ts';
import type { SubjectMeasure } from '../measure.ts';
import { inNamespace, inNamespaceAsync } from '../namespaces.ts';
import { ours } from '../peers.ts';
import { openTunnel } from '../tunnel.ts';

/** The flood begins before the stream and ends after it. */
const MARGIN = 3;

const siege = (shape: 'singles' | 'trains'): SubjectMeasure => ({
  id: `siege-${shape}`,
  name: `TCP 1 stream, ours under forged initiations in ${shape}, the other in peace`,
  unit: 'Gbit/s',
  moreIsBetter: true,
  floor: 0.7,
  aim: 1,
  async runAlone(subject, { seconds }, ground) {
    const tunnel = await openTunnel(subject, {}, ground);
    const { a, b } = ground;
    const key = inNamespace(b.namespace, ['wg', 'show', b.link, 'public-key']).trim();
    const program = join(import.meta.dirname, '../flooder.ts');
    const duration = String(seconds + MARGIN);
    const command = [process.execPath, program, key, b.underlay, '5001', duration, shape];
    const flood =
      subject === ours ? inNamespaceAsync(a.namespace, command, (seconds + 30) * 1000) : Promise.resolve();
    try {
      return await tcp(ground, 1, seconds);
    } finally {
      await flood;
      await tunnel.close();
    }
  },
});

export const siegeSingles: SubjectMeasure = siege('singles');
export const siegeTrains: SubjectMeasure = siege('trains');
