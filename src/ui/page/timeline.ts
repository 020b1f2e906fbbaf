/**
 * The last hour under the map: how much went through all tunnels, where faults were, and a slider through it.
 * @module
 */
import { type ComponentChild, h } from 'preact';
import type { SampleSummary } from '../mesh-snapshot.ts';
import { ageText, rateText } from './words.ts';

export interface TimelineProps {
  /** Oldest first. */
  readonly samples: readonly SampleSummary[];
  /** Index of the sample that is shown; null: now. */
  readonly position: number | null;
  readonly onPosition: (position: number | null) => void;
}

const WIDTH = 1000;
const HEIGHT = 40;

export const Timeline = ({ samples, position, onPosition }: TimelineProps): ComponentChild => {
  const count = samples.length;
  const shown = position === null ? null : (samples[position] ?? null);
  const now = samples.at(-1)?.at ?? 0;
  const words =
    shown === null
      ? 'Live'
      : `${new Date(shown.at).toLocaleTimeString()}, ${ageText((now - shown.at) / 1000)} ago: ${rateText(shown.rate)}, ${shown.faults} faults`;
  const top = Math.max(1, ...samples.map(({ rate }) => rate));
  const x = (index: number): string => (count < 2 ? 0 : (index / (count - 1)) * WIDTH).toFixed(1);
  const y = (rate: number): string => (HEIGHT - 2 - (rate / top) * (HEIGHT - 8)).toFixed(1);
  const area = samples.map(({ rate }, index) => `${x(index)} ${y(rate)}`).join('L');
  return h(
    'section',
    { class: 'timeline', 'aria-label': 'The last hour' },
    h(
      'button',
      {
        class: position === null ? 'live on' : 'live',
        'aria-pressed': position === null,
        onClick: () => onPosition(null),
      },
      'Live',
    ),
    h(
      'div',
      { class: 'track' },
      h(
        'svg',
        { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
        count < 2 ? null : h('path', { class: 'area', d: `M0 ${HEIGHT}L${area}L${WIDTH} ${HEIGHT}Z` }),
        samples.flatMap(({ faults, silent }, index) =>
          faults + silent === 0
            ? []
            : [
                h('rect', {
                  key: index,
                  class: 'fault',
                  x: x(index),
                  y: HEIGHT - 4,
                  width: Math.max(3, WIDTH / count),
                  height: 4,
                }),
              ],
        ),
      ),
      h('input', {
        type: 'range',
        min: 0,
        max: count,
        value: position ?? count,
        'aria-label': 'Time shown',
        'aria-valuetext': words,
        onInput: (event: Event) => {
          const value = Number((event.currentTarget as HTMLInputElement).value);
          onPosition(value >= count ? null : value);
        },
      }),
    ),
    h('output', null, words),
  );
};
