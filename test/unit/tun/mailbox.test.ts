import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENDPOINT_SIZE } from '../../../src/tun/endpoint.ts';
import { MAILBOX_MESSAGE, Mailbox } from '../../../src/tun/mailbox.ts';

/** One memory as the data plane has it: an endpoint record at 0, a message behind it. */
function scene(message: Uint8Array, mark: number): Uint8Array {
  const memory = new Uint8Array(ENDPOINT_SIZE + message.length);
  memory.fill(mark, 0, ENDPOINT_SIZE);
  memory.set(message, ENDPOINT_SIZE);
  return memory;
}

const put = (box: Mailbox, message: Uint8Array, mark = 0): boolean =>
  box.put(scene(message, mark), ENDPOINT_SIZE, message.length, 0);

describe('the mailbox', () => {
  it('hands messages over in order, each with its endpoint, as copies', () => {
    const buffer = Mailbox.allocate(8);
    const producer = new Mailbox(buffer);
    const consumer = new Mailbox(buffer);
    put(producer, Uint8Array.of(1, 2, 3), 7);
    put(producer, new Uint8Array(148).fill(9), 8);
    const first = consumer.take();
    expect([...(first?.message ?? [])]).toEqual([1, 2, 3]);
    expect(first?.endpoint.every((byte) => byte === 7)).toBe(true);
    const second = consumer.take();
    expect(second?.message.length).toBe(148);
    put(producer, Uint8Array.of(5));
    expect(second?.message[0]).toBe(9);
  });

  it('refuses what does not fit: a full ring, a message longer than a slot', () => {
    const box = new Mailbox(Mailbox.allocate(4));
    expect(put(box, new Uint8Array(MAILBOX_MESSAGE + 1))).toBe(false);
    for (let i = 0; i < 4; i += 1) expect(put(box, Uint8Array.of(i))).toBe(true);
    expect(put(box, Uint8Array.of(4))).toBe(false);
    expect(box.take()?.message[0]).toBe(0);
    expect(put(box, Uint8Array.of(4))).toBe(true);
    expect(box.length).toBe(4);
  });

  it('asks to be woken only after it was found empty, and then once', () => {
    const box = new Mailbox(Mailbox.allocate(4));
    put(box, Uint8Array.of(1));
    expect(box.mustWake()).toBe(false);
    box.take();
    expect(box.take()).toBeUndefined();
    put(box, Uint8Array.of(2));
    expect(box.mustWake()).toBe(true);
    put(box, Uint8Array.of(3));
    expect(box.mustWake()).toBe(false);
  });

  it('is a queue, whatever the order of puts and takes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.uint8Array({ maxLength: MAILBOX_MESSAGE }), { nil: null })),
        (steps) => {
          const box = new Mailbox(Mailbox.allocate(8));
          const model: Uint8Array[] = [];
          for (const step of steps) {
            if (step === null) {
              expect(box.take()?.message).toEqual(model.shift());
            } else if (model.length < 8) {
              expect(put(box, step)).toBe(true);
              model.push(step);
            } else expect(put(box, step)).toBe(false);
            expect(box.length).toBe(model.length);
          }
        },
      ),
    );
  });
});
