/**
 * Handshakes as the control thread does them: initiations the data plane wants, messages it has put into the mailbox,
 * and what comes of them. While the device stands still for a take-over nothing is done, and all of it is kept.
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BootClock } from '../linux/clock.ts';
import type { ConsumeOutcome, DropReason } from '../noise/handshake-outcome.ts';
import type { Handshaker } from '../noise/handshaker.ts';
import { packAgreement } from './agreement.ts';
import { type DeviceEvent, type HandshakeEvent, HandshakeJournal } from './device-event.ts';
import type { Mail } from './device-state.ts';
import { type Log, peerName } from './log.ts';
import type { PeerBook } from './peer-book.ts';
import type { PlaneClient } from './plane-client.ts';

/** Handshake messages answered before the event loop gets its turn. */
const MAIL_PER_TURN = 32;
const NOTHING = new Uint8Array(0);

export interface HandshakeDeskOptions {
  readonly handshaker: Handshaker;
  readonly book: PeerBook;
  readonly plane: PlaneClient;
  readonly clock: BootClock;
  readonly log: Log;
  readonly standsStill: boolean;
  readonly onEvent: ((event: DeviceEvent) => void) | undefined;
}

export class HandshakeDesk {
  readonly journal = new HandshakeJournal();
  readonly drops = new Map<DropReason, number>();
  /** While it stands still: peers that want an initiation, and handshake messages nobody has read. */
  readonly owed: number[] = [];
  readonly kept: Mail[] = [];
  readonly #options: HandshakeDeskOptions;
  #standsStill: boolean;
  #answering = false;
  #closed = false;

  constructor(options: HandshakeDeskOptions) {
    this.#options = options;
    this.#standsStill = options.standsStill;
  }

  /** What comes from now on is kept for `resume`, or for another process. */
  pause(): void {
    this.#standsStill = true;
  }

  /** Takes what is left in the mailbox. */
  keepMail(): void {
    const { mailbox } = this.#options.plane;
    for (let mail = mailbox.take(); mail !== undefined; mail = mailbox.take()) this.kept.push(mail);
  }

  resume(): void {
    this.#standsStill = false;
    for (const id of this.owed.splice(0)) this.initiate(id);
    void this.answerMail();
  }

  close(): void {
    this.#closed = true;
  }

  initiate(id: number): void {
    if (this.#standsStill) {
      this.owed.push(id);
      return;
    }
    const { handshaker, clock, plane, book, log } = this.#options;
    const outcome = handshaker.initiate(id, clock.now(), Date.now());
    if (outcome.kind !== 'initiation') return;
    plane.send({ kind: 'initiation', peer: id, message: outcome.message });
    const peer = book.byId(id);
    if (peer === undefined) return;
    this.journal.initiated(peer, clock.now());
    log.verbose(`${peerName(peer.publicKey)} - Sending handshake initiation`);
  }

  /** Answers what is in the mailbox, some at a time, so that the control socket stays alive in a flood. */
  async answerMail(): Promise<void> {
    if (this.#answering) return;
    this.#answering = true;
    const { handshaker, plane, clock } = this.#options;
    for (let answered = 1; ; answered += 1) {
      const mail = this.#standsStill ? undefined : (this.kept.shift() ?? plane.mailbox.take());
      if (mail === undefined || this.#closed) break;
      this.#carryOut(handshaker.consumeChecked(mail.message, clock.now()), mail.endpoint);
      if (answered % MAIL_PER_TURN === 0) await nextTurn();
    }
    this.#answering = false;
  }

  #carryOut(outcome: ConsumeOutcome, source: Uint8Array): void {
    const { plane } = this.#options;
    switch (outcome.kind) {
      case 'drop':
        this.drops.set(outcome.reason, (this.drops.get(outcome.reason) ?? 0) + 1);
        break;
      case 'response': {
        const { session, message } = outcome;
        plane.send({ kind: 'response', agreement: packAgreement({ session, source, message }) });
        this.#logHandshake(outcome.peer, 'Received handshake initiation');
        this.#tellAgreed(outcome.peer, 'responder');
        break;
      }
      case 'established':
        plane.send({
          kind: 'established',
          agreement: packAgreement({ session: outcome.session, source, message: NOTHING }),
        });
        this.#logHandshake(outcome.peer, 'Received handshake response');
        this.#tellAgreed(outcome.peer, 'initiator');
        break;
      case 'cookie-stored':
        this.#logHandshake(outcome.peer, 'Received cookie reply');
        break;
    }
  }

  #logHandshake(id: number, text: string): void {
    const peer = this.#options.book.byId(id);
    if (peer !== undefined) this.#options.log.verbose(`${peerName(peer.publicKey)} - ${text}`);
  }

  #tellAgreed(id: number, role: HandshakeEvent['role']): void {
    const { book, clock, onEvent } = this.#options;
    const peer = book.byId(id);
    if (peer === undefined) return;
    const event = this.journal.agreed(peer, role, clock.now());
    onEvent?.(event);
  }
}
