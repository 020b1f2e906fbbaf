/**
 * Which handshakes replace a session still in use, and how long one took.
 * @module
 */
import { expect, test } from 'vitest';
import { HandshakeJournal } from '../../../src/device/device-event.ts';
import { PeerBook } from '../../../src/device/peer-book.ts';

function peers() {
  const book = new PeerBook(2);
  const [a, b] = [1, 2].map((byte) => book.add(new Uint8Array(32).fill(byte)));
  if (a === undefined || b === undefined) throw new Error('the book has room for two');
  return { a, b };
}

test('the initiator knows how long a handshake took, the responder does not', () => {
  const { a, b } = peers();
  const journal = new HandshakeJournal();
  journal.initiated(a, 1000);
  expect(journal.agreed(a, 'initiator', 1042)).toEqual({
    kind: 'handshake',
    publicKey: new Uint8Array(32).fill(1),
    role: 'initiator',
    roundTrip: 42,
    replacesSession: false,
  });
  expect(journal.agreed(b, 'responder', 1042)).toMatchObject({ role: 'responder', roundTrip: undefined });
  expect([journal.roundTrip(a), journal.roundTrip(b)]).toEqual([42, undefined]);
});

test('the last handshake we began keeps its round trip when the peer begins the next', () => {
  const { a } = peers();
  const journal = new HandshakeJournal();
  journal.initiated(a, 0);
  journal.agreed(a, 'initiator', 7);
  journal.agreed(a, 'responder', 100_000);
  expect(journal.roundTrip(a)).toBe(7);
});

test('a handshake replaces the session of one less than three minutes before it', () => {
  const { a, b } = peers();
  const journal = new HandshakeJournal();
  const replaces = (at: number) => {
    const event = journal.agreed(a, 'responder', at);
    return event.kind === 'handshake' && event.replacesSession;
  };
  // WireGuard paper §6.1: REJECT_AFTER_TIME is 180 s.
  expect([0, 179_999, 359_999, 360_000].map(replaces)).toEqual([false, true, false, true]);
  expect(journal.agreed(b, 'responder', 360_001)).toMatchObject({ replacesSession: false });
});

test('the key in an event is a copy', () => {
  const { a } = peers();
  new HandshakeJournal().agreed(a, 'responder', 0).publicKey.fill(9);
  expect(a.publicKey).toEqual(new Uint8Array(32).fill(1));
});
