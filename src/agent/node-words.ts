/**
 * What a Node says to the mesh, held against what it said last: in a large cluster thirty heart-beats come a second, and each shall
 * cost no more than to see that it is one.
 * Source: Kilo's check-in, which writes last-seen and nothing else; ours, by which the abilities carry the same date.
 * @module
 */
import { LAST_SEEN } from './annotations.ts';
import type { NodeResource } from './kubernetes/resources.ts';
import { ABILITIES, abilitiesWithout } from './own-annotations.ts';

const PREFIXES = ['kilo.squat.ai/', 'kilowire.dev/'];

export const isMeshAnnotation = (name: string): boolean => PREFIXES.some((prefix) => name.startsWith(prefix));

/** All that the mesh reads of it, but for when it was written. */
export type NodeWords = readonly (string | undefined)[];

export const wordsOf = ({ metadata, spec }: NodeResource, topologyLabel: string): NodeWords => {
  const { uid, creationTimestamp, annotations = {}, labels } = metadata;
  const words = [uid, creationTimestamp, labels?.[topologyLabel], spec?.podCIDR, spec?.podCIDRs?.join()];
  for (const name in annotations) {
    if (!isMeshAnnotation(name) || name === LAST_SEEN) continue;
    const text = annotations[name] ?? '';
    words.push(name, name === ABILITIES ? undated(text, annotations[LAST_SEEN] ?? '') : text);
  }
  return words;
};

/** Abilities count with the heart-beat they were written with, and with no other. */
const undated = (text: string, lastSeen: string): string =>
  lastSeen !== '' && (text === lastSeen || text.startsWith(`${lastSeen} `))
    ? `now ${abilitiesWithout(text)}`
    : text;

export const sameWords = (a: NodeWords, b: NodeWords): boolean => {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
};
