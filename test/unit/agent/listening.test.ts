/**
 * Asking the device for those that are still missing: soon, then ever more rarely, and not at all when nobody is.
 * @module
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Listening } from '../../../src/agent/listening.ts';

describe('listening', () => {
  let heard: boolean;
  let looks: number;
  let told: number;
  let listening: Listening;
  beforeEach(() => {
    vi.useFakeTimers();
    heard = false;
    looks = 0;
    told = 0;
    listening = new Listening({
      look: async () => {
        looks++;
        return heard;
      },
      onHeard: () => told++,
    });
  });
  afterEach(() => {
    listening.rest();
    vi.useRealTimers();
  });

  it('asks nobody when nobody is missing', async () => {
    listening.after(false);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(looks).toBe(0);
  });

  it('asks several times in the first seconds, and twice a minute for ever', async () => {
    listening.after(true);
    await vi.advanceTimersByTimeAsync(5000);
    expect(looks).toBeGreaterThanOrEqual(5);
    await vi.advanceTimersByTimeAsync(600_000);
    const before = looks;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(looks - before).toBe(20);
    expect(told).toBe(0);
  });

  it('tells once, and then waits for the pass', async () => {
    listening.after(true);
    heard = true;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toBe(1);
    listening.after(true);
    await vi.advanceTimersByTimeAsync(1000);
    expect(told).toBe(2);
  });

  it('goes on when the device does not answer', async () => {
    listening = new Listening({
      look: () => {
        looks++;
        return Promise.reject(new Error('gone'));
      },
      onHeard: () => told++,
    });
    listening.after(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(looks).toBeGreaterThan(3);
    expect(told).toBe(0);
  });

  it('ends when it is told to', async () => {
    listening.after(true);
    listening.rest();
    await vi.advanceTimersByTimeAsync(600_000);
    expect(looks).toBe(0);
  });
});
