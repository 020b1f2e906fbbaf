/**
 * What Nodes say of relays, as agents write and read it.
 * @module
 */
import { describe, expect, it } from 'vitest';
import { nodeRecord } from '../../../src/agent/annotations.ts';
import { unreachedText } from '../../../src/agent/own-annotations.ts';

const read = (annotations: Readonly<Record<string, string>>) =>
  nodeRecord({
    metadata: {
      name: 'n',
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([name, text]) => [`kilowire.dev/${name}`, text]),
      ),
    },
  });

describe('whom a leader does not reach', () => {
  it('is written in one order, and read again, whatever locations are called', () => {
    const unreached = new Map([
      ['location:z, "x" = é', { since: 5 }],
      ['location:', { since: 7, relay: 'node:a b' }],
    ]);
    const text = '{"location:":{"since":7,"relay":"node:a b"},"location:z, \\"x\\" = é":{"since":5}}';
    expect(unreachedText(unreached)).toBe(text);
    expect(read({ unreached: text }).node.unreached).toEqual(unreached);
  });

  it('is nobody when it said so, and unknown when it said nothing', () => {
    expect(read({ unreached: '{}' }).node.unreached).toEqual(new Map());
    expect(read({ unreached: '' }).node.unreached).toBeUndefined();
    expect(read({}).node.unreached).toBeUndefined();
  });

  it.each(['{', '[]', 'null', '7', '"x"'])('is unknown when it reads %s', (text) => {
    expect(read({ unreached: text }).node.unreached).toBeUndefined();
  });

  it('keeps what makes sense of it', () => {
    const text =
      '{"a":null,"b":{"since":"1"},"c":{"since":1.5},"d":{"since":1,"relay":2},"__proto__":{"since":1}}';
    expect([...(read({ unreached: text }).node.unreached ?? [])]).toEqual([
      ['d', { since: 1 }],
      ['__proto__', { since: 1 }],
    ]);
  });
});

describe('whether a location may pass packets on', () => {
  it.each([
    ['true', true, 0],
    ['false', false, 0],
    ['no', false, 1],
    ['TRUE', false, 1],
    ['', false, 1],
  ])('reads "%s" as %s', (text, expected, faults) => {
    const record = read({ relay: text });
    expect(record.node.relay).toBe(expected);
    expect(record.faults).toHaveLength(faults);
  });

  it('is open when nothing is said', () => {
    expect(read({}).node.relay).toBeUndefined();
  });
});
