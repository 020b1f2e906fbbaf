/**
 * What a measure is: something that can be read off a WireGuard program, as a number, again and again.
 * @module
 */
import type { Subject } from './daemon.ts';
import type { Ground } from './namespaces.ts';
import type { Tunnel, TunnelOptions } from './tunnel.ts';

export interface Effort {
  /** Length of one run of traffic. */
  readonly seconds: number;
}

interface Common {
  readonly id: string;
  readonly name: string;
  readonly unit: string;
  readonly moreIsBetter: boolean;
  /** What we must reach, and what we want; absent: the number stands for itself. */
  readonly floor?: number;
  readonly aim?: number;
  /** What floor and aim are about: our number divided by the other program's (unless said), or our number. */
  readonly judged?: 'ratio' | 'value';
  /** At most so many rounds: it takes long, or its answer hardly moves. */
  readonly rounds?: number;
  /** Seconds after which one run is given up, if not a minute. */
  readonly limit?: number;
  /** Both programs at once, each on its ground: a measure that waits and costs nothing. */
  readonly together?: boolean;
}

/** Measured through a tunnel that neighbours of equal options share. */
export interface TunnelMeasure extends Common {
  readonly tunnel: TunnelOptions;
  run(tunnel: Tunnel, effort: Effort): Promise<number>;
}

/** Starts what it needs by itself. */
export interface SubjectMeasure extends Common {
  runAlone(subject: Subject, effort: Effort, ground: Ground): Promise<number>;
}

export type Measure = TunnelMeasure | SubjectMeasure;

export const needsTunnel = (measure: Measure): measure is TunnelMeasure => 'tunnel' in measure;
