/**
 * Everything that can be measured, in the order in which it is.
 * @module
 */
import type { Measure } from './measure.ts';
import { cipher } from './measures/cipher.ts';
import { dump5000, setconf1000, setconf5000, setconfIps } from './measures/configuration.ts';
import { handshakes } from './measures/handshakes.ts';
import { idle } from './measures/idle.ts';
import { loaded, ping } from './measures/latency.ts';
import { udp64, udp1300 } from './measures/loss-free.ts';
import { memory, memoryLoad, memoryPeer } from './measures/memory.ts';
import { siegeSingles, siegeTrains } from './measures/siege.ts';
import {
  cpu,
  flood64,
  flood1300,
  narrow,
  neighbour,
  noble,
  tcp1,
  tcp4,
  tcp6,
} from './measures/throughput.ts';

const traffic = [tcp1, tcp4, cpu, flood1300, flood64, udp1300, udp64, neighbour, ping, loaded];
const otherTunnels = [tcp6, narrow, noble];
const sieges = [siegeSingles, siegeTrains];
const control = [
  cipher,
  handshakes,
  memory,
  memoryPeer,
  memoryLoad,
  setconf1000,
  setconf5000,
  setconfIps,
  dump5000,
  idle,
];

export const catalogue: readonly Measure[] = [...traffic, ...otherTunnels, ...sieges, ...control];

const quick = new Set<Measure>([tcp1, flood1300, flood64, ping, cpu, handshakes, memory]);
const smoke = new Set<Measure>([tcp1, ping]);

/** `only` are ids, with commas between them. Throws RangeError for one that is not there. */
export function choose(only: string | undefined, extent: 'full' | 'quick' | 'smoke'): Measure[] {
  if (only !== undefined) {
    return only.split(',').map((id) => {
      const measure = catalogue.find((candidate) => candidate.id === id);
      if (measure !== undefined) return measure;
      throw new RangeError(
        `there is no measure '${id}'; there are: ${catalogue.map((each) => each.id).join(', ')}`,
      );
    });
  }
  if (extent === 'smoke') return [...smoke];
  return extent === 'quick' ? [...quick] : [...catalogue];
}
