/**
 * Heart-beats judged only by who could have heard them.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { ViewClock } from '../../../src/agent/view-clock.ts';

const clockAfter = (...contacts: number[]): ViewClock => {
  const clock = new ViewClock();
  for (const now of contacts) clock.contact(now);
  return clock;
};

describe('the time heart-beats are judged by', () => {
  it('is that of the last word from the API', () => expect(clockAfter(1000, 1030, 1031).time).toBe(1031));

  it('stands still while the API says nothing', () => {
    const clock = clockAfter(1000);
    expect(clock.time).toBe(1000);
    expect(clock.silence(1600)).toBe(600);
  });

  it('stays at the moment before a gap until everybody had time for a heart-beat', () => {
    const clock = clockAfter(1000, 1600);
    expect(clock.time).toBe(1000);
    clock.contact(1630);
    clock.contact(1659);
    expect(clock.time).toBe(1000);
    clock.contact(1660);
    expect(clock.time).toBe(1660);
  });

  it('counts gaps that follow each other from the first', () => {
    const clock = clockAfter(1000, 1600, 1650);
    expect(clock.time).toBe(1000); // 50 s of silence again, before the first grace was over
    clock.contact(1700);
    expect(clock.time).toBe(1000);
    clock.contact(1730);
    clock.contact(1760);
    expect(clock.time).toBe(1760);
  });

  it('does not take a late heart-beat for a gap', () => expect(clockAfter(1000, 1045).time).toBe(1045));
  it('knows no time before the first word', () =>
    expect(new ViewClock().silence(5)).toBe(Number.POSITIVE_INFINITY));

  it.each([
    ['all others are silent since their agents lost the API with ours', 1000, [990, 995, 400], 1000],
    ['most are silent: the first are back already', 1000, [990, 995, 1599], 1000],
    ['others live, so the API was there and ours alone was away', 1000, [1590, 1595, 400], 1600],
    ['there was no heart-beat of ours', 0, [990, 995], 1600],
    ['ours is fresh', 1590, [990, 995], 1600],
  ])('at the start, when %s', (_why, own, others, time) => {
    const clock = clockAfter(1600);
    clock.begin(own, others, 1600);
    expect(clock.time).toBe(time);
  });
});
