/**
 * Take-over: a new process goes on where a running one stops, with the same interface, sockets and sessions.
 *
 *     running (giver)                                             new (taker)
 *        │ ◄─ hello: version ────────────────────────────────────── │ connects to IFNAME.takeover
 *        │ ── offer: TUN, network namespace ──────────────────────► │
 *        │                                          its data-plane thread starts, frozen: WASM compiled, tables made
 *        │ ◄─ ready ─────────────────────────────────────────────── │
 *      freeze: clients idle, runs flushed, nothing more read        │
 *        │ ── state, in pieces; with the first the descriptors ───► │ imports all of it
 *        │ ◄─ prepared ──────────────────────────────────────────── │
 *        │ ══ commit ═════════════════════════════════════════════► │ thaws; serves the control socket
 *        │ ◄─ running ────────────────────────────────────────────── │ after a first turn of its loop
 *        │ ── bye ────────────────────────────────────────────────► │ reports to whoever started it
 *      wipes its keys, ends with 0
 *
 * What must never happen is that two processes use one session: a nonce used twice gives the key stream away, and two
 * replay windows let a packet in twice. So a session belongs to one process at a time, and this is when it moves:
 *
 *  - Until `commit` has been sent it is the giver's. The taker touches neither TUN nor UDP before it has `commit`, and
 *    nobody but the giver can send that. Whatever goes wrong before (the taker dies, stalls, talks garbage, has another
 *    version), the giver closes the connection and goes on with its state exactly as it was.
 *  - From `commit` on the giver never uses a session again. If `running` does not come, it makes sure by the taker's
 *    process handle (pidfd) that the taker is dead, killing it first when it hangs; then it goes on with its configuration
 *    and its sockets, but throws away all sessions and unfinished handshakes and agrees on new ones with every peer it had
 *    one with: a round trip, no more. New keys need no gap in a counter, no guess how far the dead one came, no second
 *    opinion about its replay window. Its initiations carry a later timestamp than any the dead one can have sent.
 *  - `running` received, the giver lets go for good.
 *
 * An answer that is lost can only mean that one of the two died, for a unix socket loses nothing. If the giver dies before
 * `commit`, the taker cannot know whether it had gone on meanwhile, and ends as well; after it, the taker goes on.
 *
 * Meanwhile packets wait where they always wait: the same sockets and the same TUN queue, in the kernel. `wg` waits in
 * the backlog of the same listening socket. Connections at rest are handed over with it.
 *
 * Who may: the socket is 0600, and the kernel says whose process is at the other end (SO_PEERCRED): the same user, or
 * nobody. Secrets travel over this socket alone; both sides wipe what they wrote and read.
 * Source: unix(7) (SCM_RIGHTS, SO_PEERCRED), pidfd_open(2). The format of the state: takeover-state.ts.
 * @module
 */
import { join } from 'node:path';

/**
 * The version of the conversation and of the state. A taker reads its own version and the older ones it lists; a giver
 * knows its own only, for it cannot know what comes after it.
 */
export const TAKEOVER_VERSION = 1;
export const READABLE_VERSIONS: readonly number[] = [1];

/** Beside the control socket, under a name that `wg` does not take for an interface. */
export const takeoverPath = (directory: string, interfaceName: string): string =>
  join(directory, `${interfaceName}.takeover`);

/** First byte of a message. */
export const Message = {
  hello: 1,
  offer: 2,
  ready: 3,
  state: 4,
  prepared: 5,
  commit: 6,
  running: 7,
  bye: 8,
  /** No: a sentence for people follows. */
  refused: 9,
  /** Connections to the control socket, before the state. */
  clients: 10,
} as const;

/** `hello` and `offer` begin with these after their first byte, so that nothing else is taken for one. */
export const MAGIC: Uint8Array = Uint8Array.of(0x4b, 0x57, 0x54, 0x4f);

/** Bytes of state in a message. A message has to fit the socket's buffer whole. */
export const PIECE = 64 * 1024;

/** How long each side waits for the other, in ms. While packets wait, the bounds are short. */
export const Patience = {
  /** Another take-over may be under way. */
  offer: 15_000,
  /** The new one compiles. */
  ready: 60_000,
  /** A client of the control socket in the middle of something. */
  clients: 2000,
  state: 5000,
  prepared: 5000,
  commit: 10_000,
  running: 5000,
  bye: 2000,
} as const;
