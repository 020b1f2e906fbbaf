/**
 * Traffic by Debian's iperf3, from side A to side B of a ground through the tunnel.
 * @module
 */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ground, inNamespace, inNamespaceAsync } from './namespaces.ts';

interface Sum {
  readonly bits_per_second: number;
  readonly bytes: number;
  readonly packets?: number;
  readonly lost_packets?: number;
  readonly lost_percent?: number;
}

interface Report {
  readonly end?: { readonly sum_sent?: Sum; readonly sum_received?: Sum; readonly sum?: Sum };
  readonly error?: string;
}

/** Runs a client against a fresh one-shot server and returns its report. */
export async function iperf(
  { a, b }: Ground,
  clientArgs: readonly string[],
  seconds: number,
): Promise<Report> {
  const server = spawn('ip', ['netns', 'exec', b.namespace, 'iperf3', '-s', '-1'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    await untilListening(b.namespace);
    const args = ['iperf3', '-J', ...clientArgs];
    const report = JSON.parse(await inNamespaceAsync(a.namespace, args, (seconds + 20) * 1000)) as Report;
    if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
    await Promise.race([ended, sleep(3000)]);
    return report;
  } finally {
    if (server.exitCode === null) server.kill('SIGKILL');
  }
}

async function untilListening(namespace: string): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    await sleep(20);
    if (inNamespace(namespace, ['ss', '-Hltn', 'sport', '5201']).trim() !== '') return;
  }
  throw new Error('the iperf3 server did not start');
}

/** Gbit/s that arrived over so many TCP streams. */
export async function tcp(
  ground: Ground,
  streams: number,
  seconds: number,
  family: 4 | 6 = 4,
): Promise<number> {
  const target = family === 4 ? ground.b.overlay : ground.b.overlay6;
  const report = await iperf(ground, ['-c', target, '-P', String(streams), '-t', String(seconds)], seconds);
  return (report.end?.sum_received?.bits_per_second ?? 0) / 1e9;
}

export interface UdpResult {
  /** Mbit/s of payload. */
  readonly sent: number;
  readonly received: number;
  /** Share of the packets, 0 to 1. */
  readonly lost: number;
}

/** UDP of so many bytes a packet, offered at `rate` Mbit/s; 0: as fast as the sender can. */
export async function udp(
  ground: Ground,
  payload: number,
  rate: number,
  seconds: number,
): Promise<UdpResult> {
  const offered = rate === 0 ? '0' : `${Math.round(rate * 1000)}k`;
  const args = ['-u', '-b', offered, '-l', String(payload), '-t', String(seconds), '-w', '4M'];
  const { end } = await iperf(ground, ['-c', ground.b.overlay, ...args], seconds);
  const sent = (end?.sum_sent ?? end?.sum)?.bits_per_second ?? 0;
  const lost = (end?.sum_received?.lost_percent ?? end?.sum?.lost_percent ?? 0) / 100;
  const packets = end?.sum_received?.packets ?? 0;
  // iperf3 counts what the receiver missed in between; what was still to come at the end is missing from both numbers.
  const received =
    packets > 0 ? ((packets - (end?.sum_received?.lost_packets ?? 0)) * payload * 8) / seconds / 1e6 : 0;
  return { sent: sent / 1e6, received, lost };
}
