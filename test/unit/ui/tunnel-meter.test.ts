import { describe, expect, it } from 'vitest';
import type { Tunnel } from '../../../src/admin/tunnels.ts';
import { SilenceBook } from '../../../src/ui/silence-book.ts';
import { TunnelMeter } from '../../../src/ui/tunnel-meter.ts';

const tunnel = (from: string, to: string, sentBytes: number, receivedBytes: number): Tunnel => ({
  from,
  to,
  endpoint: null,
  handshakeAge: 1,
  roundTripMs: null,
  pathMtu: null,
  sentBytes,
  receivedBytes,
});

describe('rates', () => {
  it('are bytes per second since the reading before, none at first', () => {
    const meter = new TunnelMeter();
    expect(meter.read([tunnel('a', 'b', 1000, 50)], 0)).toMatchObject([{ sentRate: 0, receivedRate: 0 }]);
    expect(meter.read([tunnel('a', 'b', 3000, 150)], 2000)).toMatchObject([
      { sentRate: 1000, receivedRate: 50 },
    ]);
  });

  it('count from nothing when a device began anew', () => {
    const meter = new TunnelMeter();
    meter.read([tunnel('a', 'b', 9000, 9000)], 0);
    expect(meter.read([tunnel('a', 'b', 100, 0)], 1000)).toMatchObject([{ sentRate: 100, receivedRate: 0 }]);
  });
});

describe('losses', () => {
  /** A second each: `sent` bytes by a, of which `share` arrive at b. */
  const run = (meter: TunnelMeter, seconds: number, sent: number, share: number) => {
    let last = meter.read([tunnel('a', 'b', 0, 0), tunnel('b', 'a', 0, 0)], 0);
    for (let second = 1; second <= seconds; second++) {
      const [out, arrived] = [second * sent, second * sent * share];
      last = meter.read([tunnel('a', 'b', out, 0), tunnel('b', 'a', 0, arrived)], second * 1000);
    }
    return last;
  };

  it('are what one end sent and the other did not receive', () => {
    const [ab, ba] = run(new TunnelMeter(), 40, 100_000, 0.75);
    expect(ab?.loss).toBe(0.25);
    expect(ba?.loss).toBeNull(); // nothing was sent that way
  });

  it('are none where all arrives but what is on its way', () => {
    expect(run(new TunnelMeter(), 40, 100_000, 0.995)[0]?.loss).toBe(0);
  });

  it('cannot be told from a few packets, or from one end only', () => {
    expect(run(new TunnelMeter(), 40, 100, 0.5)[0]?.loss).toBeNull();
    const meter = new TunnelMeter();
    meter.read([tunnel('a', 'b', 0, 0)], 0);
    expect(meter.read([tunnel('a', 'b', 1_000_000, 0)], 1000)[0]?.loss).toBeNull();
  });

  it('are of the last minute: an old one is forgotten', () => {
    const meter = new TunnelMeter();
    run(meter, 40, 100_000, 0.5);
    let last = null;
    for (let second = 41; second <= 140; second++)
      [last] = meter.read(
        [tunnel('a', 'b', second * 100_000, 0), tunnel('b', 'a', 0, 2_000_000 + (second - 40) * 100_000)],
        second * 1000,
      );
    expect(last?.loss).toBe(0);
  });
});

describe('who does not answer', () => {
  it('is silent since the first question that was not answered', () => {
    const book = new SilenceBook();
    book.note(['a', 'b'], new Set(), 100);
    book.note(['a', 'b'], new Set(['b']), 101);
    expect([...book.note(['a', 'b'], new Set(['b']), 105)]).toEqual([
      ['a', { state: 'well', silentSince: null }],
      ['b', { state: 'silent', silentSince: 101 }],
    ]);
    expect(book.note(['a', 'b'], new Set(), 106).get('b')).toEqual({ state: 'well', silentSince: null });
  });

  it('is not missed where nobody ever answered: from there nobody can be asked', () => {
    const book = new SilenceBook();
    const all = book.note(['a', 'b'], new Set(['a', 'b']), 100);
    expect([...all.values()].map(({ state }) => state)).toEqual(['unknown', 'unknown']);
  });

  it('is missed though it never answered, once another does', () => {
    const book = new SilenceBook();
    book.note(['a', 'b'], new Set(['a', 'b']), 100);
    expect(book.note(['a', 'b'], new Set(['b']), 102).get('b')).toEqual({
      state: 'silent',
      silentSince: 100,
    });
  });

  it('is forgotten with the node', () => {
    const book = new SilenceBook();
    book.note(['a', 'b'], new Set(['b']), 100);
    expect([...book.note(['a'], new Set(), 101).keys()]).toEqual(['a']);
    expect(book.note(['a', 'b'], new Set(['b']), 200).get('b')?.silentSince).toBe(200);
  });
});
