/**
 * What a measure is: something that can be read off a WireGuard program, as a number, again and again.
 * @module
 */
import type { Subject } from './daemon.ts';
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
  /** The ratio to the other program that we must reach, and the one we want; absent: the number stands for itself. */
  readonly floor?: number;
  readonly aim?: number;
  /** Measured in the first round only, because its answer hardly moves. */
  readonly once?: boolean;
}

/** Measured through a tunnel that those of equal options share. */
export interface TunnelMeasure extends Common {
  readonly tunnel: TunnelOptions;
  run(tunnel: Tunnel, effort: Effort): Promise<number>;
}

/** Starts what it needs by itself. */
export interface SubjectMeasure extends Common {
  runAlone(subject: Subject, effort: Effort): Promise<number>;
}

export type Measure = TunnelMeasure | SubjectMeasure;

export const needsTunnel = (measure: Measure): measure is TunnelMeasure => 'tunnel' in measure;
