/**
 * What the lab prints.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { Progress } from '../../../src/lab/progress.ts';
import { formatBytes, formatMatrix, formatTable } from '../../../src/lab/text-table.ts';

describe('a table', () => {
  it('aligns its columns, numbers to the right, and leaves no trailing space', () => {
    expect(
      formatTable(
        ['node', 'sent'],
        [
          ['aws-0', '7 B'],
          ['a', '300 MiB'],
        ],
        [1],
      ),
    ).toBe('node      sent\n─────  ───────\naws-0      7 B\na      300 MiB');
  });
});

describe('the matrix', () => {
  it('shows round trips, what was lost, and nothing for a pod to itself', () => {
    const cells = [
      { from: 'a', to: 'b', rttMs: 0.349 },
      { from: 'b', to: 'a', rttMs: null },
    ];
    expect(formatMatrix(['a', 'b'], cells).split('\n').slice(2)).toEqual([
      'a   1     ·  0.3',
      'b   2  LOST    ·',
    ]);
  });
});

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [104_857_600, '100 MiB'],
    [5 * 2 ** 40, '5.0 TiB'],
  ])('%i is %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('progress', () => {
  const printed = (isTTY: boolean) => {
    let text = '';
    const progress = new Progress({ isTTY, columns: 40, write: (piece: string) => (text += piece) });
    return { progress, text: () => text };
  };

  it('is one plain line per step where nobody watches', async () => {
    const { progress, text } = printed(false);
    await progress.step('pods', async () => ({ detail: '8 pods' }));
    await progress.step('pings', async () => ({ ok: false, detail: '3 lost' }));
    expect(text().replaceAll(/\d\.\d s/g, 'N s')).toBe('✓ pods: 8 pods (N s)\n✗ pings: 3 lost (N s)\n');
  });

  it('marks the step that threw, and lets the error through', async () => {
    const { progress, text } = printed(false);
    await expect(progress.step('pods', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(text()).toBe('✗ pods\n');
  });

  it('draws on a terminal no wider than it is', async () => {
    const { progress, text } = printed(true);
    await progress.step('x'.repeat(100), async () => ({}));
    const [drawn] = text()
      .split('\r\x1b[2K')
      .filter((piece) => piece.startsWith('⠙'));
    expect(drawn?.length ?? 0).toBeLessThan(40);
  });
});
