/**
 * An API that is away for ten minutes makes twelve lines, not hundreds.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { ApiLog } from '../../../src/agent/api-log.ts';
import { KubernetesError } from '../../../src/agent/kubernetes/kubernetes-error.ts';

const GONE = new KubernetesError('ERR_KUBERNETES_UNREACHABLE', 'It cannot be reached.');
const FORBIDDEN = new KubernetesError('ERR_KUBERNETES_FORBIDDEN', 'You may not patch.', { status: 403 });

const told = () => {
  const lines: string[] = [];
  const clock = { now: 5000 };
  const write = (level: string) => (message: string) => void lines.push(`${level} ${message}`);
  return { lines, clock, api: new ApiLog({ info: write('info'), warn: write('warn') }, () => clock.now) };
};

describe('the log of the API', () => {
  it('says once that it is gone, once a minute that it still is, and once that it is back', () => {
    const { lines, clock, api } = told();
    for (let second = 0; second < 605; second += 3) {
      api.failed('run', GONE);
      api.failed('checkin', GONE);
      clock.now += 3000;
    }
    api.contact();
    api.contact();
    expect(lines).toEqual([
      'warn It cannot be reached. The mesh stays as it is until the API is back.',
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(
        (minute) =>
          `warn The API has been away for ${minute === 1 ? '60 s' : `${minute} min`}: It cannot be reached.`,
      ),
      'info The API is back after 10 min 6 s.',
    ]);
  });

  it('begins anew with each outage', () => {
    const { lines, clock, api } = told();
    for (const _ of [1, 2]) {
      api.failed('run', GONE);
      clock.now += 4000;
      api.worked('checkin');
    }
    expect(lines.map((line) => line.slice(0, 24))).toEqual([
      'warn It cannot be reache',
      'info The API is back aft',
      'warn It cannot be reache',
      'info The API is back aft',
    ]);
  });

  it('says what is refused once a minute, for each thing that is tried, whoever else is heard', () => {
    const { lines, clock, api } = told();
    for (let second = 0; second < 120; second += 10) {
      api.failed('checkin', FORBIDDEN);
      api.contact();
      clock.now += 10_000;
    }
    api.failed('run', FORBIDDEN);
    expect(lines).toEqual(Array(3).fill('warn You may not patch.'));
    api.worked('run');
    api.failed('run', FORBIDDEN);
    expect(lines).toHaveLength(4);
  });
});
