/**
 * What is measured through a tunnel, with Debian's iperf3 and ping.
 * @module
 */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { inNamespace, sideA, sideB } from './tunnel.ts';

interface IperfReport {
  readonly end?: {
    readonly sum_received?: { readonly bits_per_second: number };
    readonly sum?: { readonly bits_per_second: number; readonly lost_percent?: number };
  };
  readonly error?: string;
}

/** Runs a client against a fresh one-shot server and returns its report. */
async function iperf(clientArgs: readonly string[], seconds: number): Promise<IperfReport> {
  const server = spawn('ip', ['netns', 'exec', sideB.namespace, 'iperf3', '-s', '-1'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    await sleep(250);
    const args = ['iperf3', '-J', '-t', String(seconds), ...clientArgs];
    const report = JSON.parse(inNamespace(sideA.namespace, args, (seconds + 20) * 1000)) as IperfReport;
    if (report.error !== undefined) throw new Error(`iperf3: ${report.error}`);
    await Promise.race([ended, sleep(3000)]);
    return report;
  } finally {
    if (server.exitCode === null) server.kill('SIGKILL');
  }
}

/** Gbit/s that arrived over so many TCP streams. */
export async function tcp(streams: number, seconds: number, family: 4 | 6 = 4): Promise<number> {
  const target = family === 4 ? sideB.overlay : sideB.overlay6;
  const report = await iperf(['-c', target, '-P', String(streams)], seconds);
  return (report.end?.sum_received?.bits_per_second ?? 0) / 1e9;
}

/** Mbit/s of UDP payload that arrived while the sender offered all it could. */
export async function udpFlood(payload: number, seconds: number): Promise<number> {
  const args = ['-c', sideB.overlay, '-u', '-b', '0', '-l', String(payload), '--get-server-output'];
  const report = await iperf(args, seconds);
  const { bits_per_second = 0, lost_percent = 0 } = report.end?.sum ?? {};
  const received = report.end?.sum_received?.bits_per_second;
  return (
    (received !== undefined && received > 0 ? received : bits_per_second * (1 - lost_percent / 100)) / 1e6
  );
}

/** Average round trip in µs of pings sent as fast as answers come. */
export function pingFlood(count: number): number {
  const output = inNamespace(
    sideA.namespace,
    ['ping', '-f', '-q', '-c', String(count), sideB.overlay],
    60_000,
  );
  return Number(output.match(/= [\d.]+\/([\d.]+)\//)?.[1] ?? Number.NaN) * 1000;
}
