/**
 * The agent of one node: hears what the API says, computes the mesh from its own point of view, brings the host there,
 * and says of itself what the others need to know. It holds still while the API is away, and remembers nothing that it
 * cannot read back.
 * Source: Kilo's agent (events, heart-beat every 30 s, resync); docs/architecture.md.
 * @module
 */
import { isReadyNode } from '../routing/node.ts';
import { sentenceOf } from './agent-error.ts';
import { ApiLog } from './api-log.ts';
import { type Clock, unixSeconds } from './clock.ts';
import { Cluster } from './cluster.ts';
import { FaultEvents } from './fault-events.ts';
import { type Fault, FaultBook } from './faults.ts';
import { HEARTBEAT_MS, HeartBeat } from './heart-beat.ts';
import { HostNames } from './host-names.ts';
import type { KernelWatch } from './kernel-watch.ts';
import { asksApi, handshakesOf, type LeaderWatch, NO_VERDICT, watchLeaders } from './leader-watch.ts';
import { allRead, Leases } from './leases.ts';
import { Listening } from './listening.ts';
import type { Log } from './log.ts';
import { MeshPass, type PassOutcome } from './mesh-pass.ts';
import { AgentMetrics } from './metrics.ts';
import { metricsText, observed } from './metrics-text.ts';
import type { AgentOptions } from './options.ts';
import { abilitiesFor } from './own-annotations.ts';
import { OwnWords } from './own-words.ts';
import { PassWatch } from './pass-watch.ts';
import { RelayWatch } from './relay-watch.ts';
import { RotationWatch } from './rotation-watch.ts';
import { statusOf } from './status.ts';
import type { Surroundings, SurroundingsHooks } from './surroundings.ts';
import { ViewClock } from './view-clock.ts';

/** Several changes that come together are one pass. */
const GATHER_MS = 10;
const EXPIRY_LOOK_MS = 2000;

export interface AgentContext {
  readonly options: AgentOptions;
  readonly log: Log;
  readonly version: string;
}

export class Agent {
  readonly #options: AgentOptions;
  readonly #log: Log;
  readonly #version: string;
  readonly #metrics = new AgentMetrics();
  readonly #faults: FaultBook;
  readonly #events: FaultEvents;
  readonly #apiLog: ApiLog;
  readonly #leases: Leases | null;
  #saysByLease = false;
  readonly #cluster: Cluster;
  readonly #viewClock = new ViewClock();
  readonly #around: Surroundings;
  readonly #clock: Clock;
  readonly #passWatch: PassWatch;
  readonly #pass: MeshPass;
  readonly #words: OwnWords;
  readonly #heartBeat: HeartBeat;
  readonly #listening: Listening;
  readonly #rotation: RotationWatch;
  readonly #leaders: LeaderWatch | null;
  #outcome: PassOutcome | null = null;
  #wanted = Promise.withResolvers<void>();
  #passes = 0;

  constructor(
    { options, log, version }: AgentContext,
    surroundings: (hooks: SurroundingsHooks) => Surroundings,
  ) {
    this.#options = options;
    this.#log = log;
    this.#version = version;
    this.#faults = new FaultBook(log);
    const { hostname, interfaceName, topologyLabel } = options;
    const around = surroundings({
      onDue: () => this.#want(),
      onFilter: (operation, family) => this.#metrics.iptables({ operation, protocol: `IPv${family}` }),
      onChange: (what, count) => {
        this.#metrics.changes({ what }, count);
        log.info('changed the host', { what, count });
      },
    });
    this.#around = around;
    const { client, clock, device, host, key, links, ofHostname, random, resolve } = around;
    this.#clock = clock;
    this.#passWatch = new PassWatch(clock);
    if (!key.found)
      log.warn('no private key was found; a new one has been made', { directory: options.stateDirectory });
    this.#apiLog = new ApiLog(log, clock.monotonic);
    const apiError = (event: string) => (error: unknown) => {
      this.#metrics.error({ event });
      this.#apiLog.failed(event, error);
    };
    this.#leases = options.leaseHeartbeat
      ? new Leases({
          ...{ client, hostname, clock, random },
          isIn: (node) => this.#cluster.isIn(node),
          onDue: () => this.#want(),
          onContact: () => this.#contact(),
          onError: apiError('lease'),
        })
      : null;
    this.#events = new FaultEvents({
      client,
      hostname,
      now: clock.now,
      onError: (error) => log.debug(sentenceOf(error), { component: 'k8s backend' }),
    });
    this.#cluster = new Cluster({
      client,
      hostname,
      topologyLabel,
      clock,
      random,
      onChange: () => this.#want(),
      onContact: () => this.#contact(),
      onError: apiError('run'),
      lastSeen: (node) => this.#leases?.lastSeen(node) ?? 0,
    });
    this.#leaders = options.leaderFailover
      ? watchLeaders({
          probes: around.probes,
          clock,
          log,
          metrics: this.#metrics,
          onVerdict: () => this.#want(),
          asksApi: () => asksApi(client, hostname),
          handshakes: async () => handshakesOf(await device.control.read()),
        })
      : null;
    const abilities = abilitiesFor({ ...options, leaderFailover: this.#leaders !== null });
    const onDue = () => this.#want();
    this.#rotation = new RotationWatch({ key, clock, log, read: () => observed(device), onDue });
    const own = { hostname, cluster: this.#cluster, abilities, leases: this.#leases };
    this.#words = new OwnWords({ client, ...own });
    this.#pass = new MeshPass({
      options,
      cluster: this.#cluster,
      names: new HostNames(() => this.#want(), { clock, ...(resolve && { resolve }) }),
      links,
      device,
      host,
      key,
      rotation: this.#rotation.own,
      pskKey: around.pskKey,
      ofHostname,
      onDeviceStarted: () => log.info('started the device', { interface: interfaceName }),
      abilities,
      verdict: () => this.#leaders?.verdict ?? NO_VERDICT,
      relays: new RelayWatch({ clock, device, cluster: this.#cluster, onNews: onDue }),
    });
    this.#listening = new Listening({
      look: async () =>
        this.#outcome !== null && (await this.#pass.hearsAnew(this.#outcome, this.#viewClock.time)),
      onHeard: () => this.#want(),
      clock,
    });
    this.#heartBeat = new HeartBeat({
      say: async (signal) => {
        if (this.#outcome === null) return;
        await this.#words.say(this.#outcome.annotations, this.#now(), this.#saysByLease, signal);
        this.#apiLog.worked('checkin');
      },
      onError: apiError('checkin'),
      regularly: options.checkIn,
      clock,
      random,
    });
  }

  /**
   * Runs until the signal; resolves when everything has been put down. A node that was deleted from the cluster is left
   * clean whatever the flags say; true: it was.
   */
  async run(signal: AbortSignal): Promise<boolean> {
    this.#log.info(`Starting Kilo network mesh '${this.#version}'.`);
    const { interfaceName, resyncMs, cleanUp } = this.#options;
    const state = {
      metrics: () => this.#metricsText(),
      whyUnwell: () => this.#passWatch.whyUnwell(),
      topology: () => this.#outcome?.topology ?? null,
      status: () => this.#status(),
    };
    const endServing = await this.#around.serve(state);
    const watch = this.#around.watchKernel(
      () => [interfaceName, 'tunl0'],
      () => this.#want(),
    );
    const timers = [
      this.#clock.every(resyncMs, () => this.#want()),
      this.#clock.every(EXPIRY_LOOK_MS, () => this.#lookForExpiry()),
    ];
    signal.addEventListener('abort', () => this.#want(), { once: true });
    if (signal.aborted) this.#want();
    await Promise.all([
      this.#cluster.run(signal),
      this.#reconcile(watch, signal),
      this.#heartBeat.run(signal),
      this.#leases?.run(signal),
    ]);
    for (const cancel of timers) cancel();
    this.#listening.rest();
    this.#rotation.rest();
    this.#leaders?.end();
    this.#pass.end();
    watch.close();
    this.#log.info('caught interrupt; gracefully cleaning up; see you next time!');
    const { departed } = this.#cluster;
    if (departed)
      this.#log.info('this node has been deleted from the cluster; nothing of the mesh stays here');
    if (cleanUp || departed) await this.#cleanUp(departed);
    this.#around.close();
    await endServing();
    return departed;
  }

  /** Unix seconds. */
  #now(): number {
    return unixSeconds(this.#clock);
  }

  /** A pass is due. */
  #want(): void {
    this.#wanted.resolve();
  }

  /** The API spoke. After a silence the others wait for our heart-beat as we wait for theirs. */
  #contact(): void {
    const now = this.#now();
    const silence = this.#viewClock.silence(now);
    this.#viewClock.contact(now);
    this.#leaders?.apiSpoke();
    this.#apiLog.worked('run');
    if (Number.isFinite(silence) && silence > HEARTBEAT_MS / 1000 + 5) this.#heartBeat.now();
  }

  /**
   * A node whose heart-beat is overdue by the clock on the wall may only be late on our ears: our own heart-beat, coming back
   * through the same watch, tells which.
   */
  #lookForExpiry(): void {
    const topology = this.#outcome?.topology;
    if (topology === undefined) return;
    const now = this.#now();
    if (topology.peers.some(({ expires }) => expires !== undefined && expires <= now)) this.#want();
    const late = this.#cluster.lateAt(now);
    if (late.some((node) => !isReadyNode(node, this.#viewClock.time))) this.#want();
    else if (late.length > 0 && this.#viewClock.silence(now) >= EXPIRY_LOOK_MS / 1000) this.#heartBeat.now();
  }

  async #reconcile(watch: Pick<KernelWatch, 'ignoreSoFar'>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#wanted.promise;
      await this.#clock.sleep(GATHER_MS);
      this.#wanted = Promise.withResolvers();
      // Before both have been read, what is missing from the view is not missing from the cluster.
      if (signal.aborted || !this.#cluster.synced || this.#leases?.settled === false) continue;
      await this.#passWatch.during(() => this.#onePass());
      watch.ignoreSoFar();
    }
  }

  async #onePass(): Promise<void> {
    if (this.#passes === 0) {
      const said = this.#cluster.own?.record.node.lastSeen ?? 0;
      const own = Math.max(said, this.#leases?.lastSeen(this.#options.hostname) ?? 0);
      const others = this.#cluster.others.map(({ lastSeen }) => lastSeen);
      this.#viewClock.begin(own, others, this.#now());
      const { leaderClaim, failingLeaders } = this.#cluster.own?.record.node ?? {};
      this.#leaders?.begin(leaderClaim, failingLeaders);
    }
    this.#passes++;
    this.#metrics.reconcile();
    try {
      const outcome = await this.#pass.run(this.#viewClock.time, this.#now());
      // One that was started anew finds everything said already; that it lives again is news.
      if (this.#outcome === null && this.#options.checkIn) this.#heartBeat.now();
      this.#outcome = outcome;
      this.#listening.after(outcome.awaits);
      const byLease = this.#leases?.heard === true && allRead(outcome.topology);
      // Whoever does not read Leases must not wait for the next heart-beat.
      if (byLease !== this.#saysByLease) this.#heartBeat.now();
      this.#saysByLease = byLease;
      this.#rotation.after(outcome.awaitedKeys);
      this.#cluster.tookPart(this.#metrics.mesh(outcome.topology));
      if (outcome.failed) this.#metrics.error({ event: 'apply' });
      this.#tell(outcome.faults);
      if (this.#words.hasNews(outcome.annotations)) this.#heartBeat.now();
      this.#leaders?.follow(outcome.topology);
    } catch (error) {
      this.#metrics.error({ event: 'apply' });
      const subject = { kind: 'node', name: this.#options.hostname } as const;
      this.#tell([{ code: 'pass', subject, message: sentenceOf(error) }]);
    }
  }

  #tell(faults: readonly Fault[]): void {
    this.#faults.update(faults);
    const topology = this.#outcome?.topology;
    void this.#events.tell(
      this.#faults.current,
      topology !== undefined && topology.segments[0]?.leader === topology.self,
    );
    this.#metrics.faults(this.#faults.current);
  }

  /** Of this moment: the last pass may be half a minute old. */
  async #status(): Promise<unknown> {
    const device = await observed(this.#around.device).catch(() => this.#outcome?.device ?? null);
    return statusOf({
      hostname: this.#options.hostname,
      version: this.#version,
      topology: this.#outcome?.topology ?? null,
      device,
      faults: this.#faults.current,
      apiSilence: this.#viewClock.silence(this.#now()),
      passes: this.#passes,
    });
  }

  async #metricsText(): Promise<string> {
    const silence = this.#viewClock.silence(this.#now());
    if (Number.isFinite(silence)) this.#metrics.apiSilence(silence);
    const topology = this.#outcome?.topology ?? null;
    return await metricsText(this.#metrics, this.#around, this.#options.interfaceName, topology);
  }

  async #cleanUp(departed: boolean): Promise<void> {
    for (const fault of await this.#around.host.remove(this.#outcome?.topology ?? null, departed)) {
      this.#metrics.error({ event: 'cleanUp' });
      this.#log.error(fault);
    }
    if (departed) return;
    try {
      await this.#words.takeBack(this.#options.stableAddresses);
    } catch (error) {
      this.#metrics.error({ event: 'cleanUp' });
      this.#log.error(sentenceOf(error));
    }
  }
}
