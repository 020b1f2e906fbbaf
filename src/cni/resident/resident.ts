/**
 * The process that stays after an ADD and answers the calls that follow it, one after another, with the same code. It
 * keeps nothing between two of them but code that is warm: locks, records and leases are on disk as ever, and whatever
 * happens to it, a caller that gets no answer does the work itself.
 *
 * It ends by itself: after a while without a request, after many, when its executable is not the callers' any more, when
 * nobody else is left in its namespaces, and after any error that it does not know.
 * @module
 */
import { closeSync, localService, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from '#sys';
import type { LocalService } from '../../linux/local-service.ts';
import { sweepAbandoned, sweepBy } from '../abandoned.ts';
import { type Answer, answer } from '../call.ts';
import { ForeignCniError } from '../cni-error.ts';
import { serveMany } from '../patience.ts';
import { CallerCheck, canBeServed, idleSecondsOf } from './caller.ts';
import { type Place, takePlace } from './place.ts';
import { answerMessages, type Door, doItYourself, longestRequest, parseDoorRequest } from './protocol.ts';

const mostRequests = 5000;
const mostConnections = 200;
const tickMs = 1000;
/** After the burst of calls that a pod is. */
const restMs = 30_000;
const restTickMs = 5000;
/** Who has connected has read its standard input, nearly. */
const silentMs = 5000;

class NotHere extends Error {}

export interface Service {
  readonly door: Door;
  /** Where callers are waiting already; undefined when it has to be found. */
  readonly place: Place | undefined;
  idleSeconds: number;
}

/** Returns when it is over, or at once when somebody else serves already. Descriptors 0 to 2 are nobody's by now. */
export function serve(service: Service): void {
  if (localService === undefined) return;
  localService.detach();
  // Of all processes of a node this is the one that can be spared.
  writeFileSync('/proc/self/oom_score_adj', '500');
  const place = service.place ?? takePlace(localService);
  if (place === undefined) return;
  place.announce();
  serveMany();
  sweepBy(() => wake(service.door.sweeper));
  const resident = new Resident(localService, place, service);
  try {
    resident.run();
  } finally {
    resident.end();
  }
}

function wake(sweeper: number): boolean {
  try {
    return writeSync(sweeper, Uint8Array.of(1)) === 1;
  } catch {
    return false;
  }
}

class Resident {
  readonly #local: LocalService;
  readonly #place: Place;
  readonly #service: Service;
  readonly #check: CallerCheck;
  readonly #namespace = statSync('/proc/thread-self/ns/net').ino;
  readonly #bytes = new Uint8Array(longestRequest + 1);
  readonly #rest = new Uint8Array(1);
  /** Each connection, and when it was made. */
  readonly #connections = new Map<number, number>();
  #requests = 0;
  #goesOn = true;

  constructor(local: LocalService, place: Place, service: Service) {
    this.#local = local;
    this.#place = place;
    this.#service = service;
    this.#check = new CallerCheck(local);
  }

  run(): void {
    let last = performance.now();
    while (this.#goesOn && this.#requests < mostRequests) {
      const idleMs = performance.now() - last;
      const leftMs = this.#service.idleSeconds * 1000 - idleMs;
      if (leftMs <= 0) return;
      const tick = idleMs < restMs || this.#connections.size > 0 ? tickMs : restTickMs;
      if (this.#turn(Math.min(tick, leftMs + 1))) last = performance.now();
      else if (this.#connections.size === 0 && (isForsaken() || isReplaced())) return;
    }
  }

  /** Those in the queue hear from us that they have to do it themselves, which is faster than our end. */
  end(): void {
    this.#place.leave();
    for (const connection of this.#connections.keys()) {
      this.#local.send(connection, doItYourself());
      closeSync(connection);
    }
    this.#place.close();
  }

  /** False when nothing came for a while. */
  #turn(milliseconds: number): boolean {
    const { listener } = this.#place;
    const waiting = [...this.#connections.keys()];
    const all = waiting.length < mostConnections ? [listener, ...waiting] : waiting;
    const ready = this.#local.waitForAny(all, milliseconds);
    for (const fd of ready) {
      if (fd === listener) this.#accept();
      else if (this.#goesOn) this.#serve(fd);
    }
    this.#dropSilent();
    return ready.length > 0;
  }

  #accept(): void {
    const connection = this.#local.accept(this.#place.listener);
    if (connection >= 0) this.#connections.set(connection, performance.now());
  }

  /** Whoever says nothing for a while never will. */
  #dropSilent(): void {
    const before = performance.now() - silentMs;
    for (const [connection, since] of this.#connections) if (since < before) this.#hangUp(connection);
  }

  #hangUp(connection: number): void {
    this.#connections.delete(connection);
    closeSync(connection);
  }

  #serve(connection: number): void {
    const length = this.#local.receive(connection, this.#bytes);
    if (length < 0) return;
    // Who has gone meanwhile does it himself, or never wanted it: what he asked for may be wrong by now.
    if (length > 0 && this.#local.receive(connection, this.#rest) < 0) {
      const messages = this.#answer(connection, this.#bytes.subarray(0, length)) ?? [doItYourself()];
      // Who was killed meanwhile gets no answer; what was done for him is in its record.
      messages.every((message) => this.#local.send(connection, message));
    }
    this.#hangUp(connection);
    sweepAbandoned();
    if (statSync('/proc/thread-self/ns/net').ino !== this.#namespace) this.#goesOn = false;
  }

  /** Undefined: he has to do it himself. */
  #answer(connection: number, bytes: Uint8Array): readonly Uint8Array[] | undefined {
    const asked = parseDoorRequest(bytes);
    if (asked === undefined || !this.#check.mayAsk(connection)) return undefined;
    if (asked.fingerprint !== this.#service.door.fingerprint) {
      this.#goesOn = false;
      return undefined;
    }
    this.#requests += 1;
    let leaves = false;
    const said = answer({
      env: asked.env,
      program: asked.program,
      readStdin: () => asked.stdin,
      hasStdin: () => asked.stdin !== '',
      begins: (type, request) => {
        leaves = !canBeServed(request, asked.env);
        if (leaves) throw new NotHere();
        const seconds = request.verb === 'ADD' ? idleSecondsOf(type, request) : undefined;
        if (seconds !== undefined) this.#service.idleSeconds = seconds;
      },
    });
    if (this.#service.idleSeconds === 0) this.#goesOn = false;
    if (leaves || said.error?.code === 'ERR_CNI_TRY_AGAIN') return undefined;
    if (isUnknown(said)) this.#goesOn = false;
    return answerMessages(said.document, said.status);
  }
}

const isUnknown = ({ error }: Answer): boolean =>
  error?.code === 'ERR_CNI_INTERNAL' && !(error instanceof ForeignCniError);

/** The executable has been deleted, or another one put into its place: ours would take up the disk. */
const isReplaced = (): boolean => localService?.readlink('/proc/self/exe').endsWith(' (deleted)') === true;

/** Nobody can call us any more: no other process is in our namespaces, and the network has no name either. */
const isForsaken = (): boolean => isAlone('mnt') || (!isNamed() && isAlone('net'));

function isNamed(): boolean {
  const own = statSync('/proc/self/ns/net').ino;
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(`net:[${own}]`);
}

/** But for the sweeper, which is our child. */
function isAlone(kind: 'net' | 'mnt'): boolean {
  const self = localService?.readlink('/proc/self') ?? '';
  const own = statSync(`/proc/self/ns/${kind}`).ino;
  const isProcess = (name: string): boolean => name >= '0' && name <= ':' && name !== self;
  return !readdirSync('/proc').some((pid) => isProcess(pid) && isIn(pid, kind, own) && !isChildOf(pid, self));
}

/** One that cannot be looked at is none of ours. */
function isIn(pid: string, kind: 'net' | 'mnt', namespace: number): boolean {
  try {
    return statSync(`/proc/${pid}/ns/${kind}`).ino === namespace;
  } catch {
    return false;
  }
}

function isChildOf(pid: string, parent: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === parent;
  } catch {
    return true;
  }
}
