/**
 * `kilowire webhook`: refuses wrong Peers before the API stores them.
 * Source: `kg webhook` (flags and defaults).
 * @module
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { ListenAddress } from '../admin/webhook/webhook-server.ts';
import type { LogLevel } from '../agent/log.ts';

interface WebhookFlags {
  readonly certFile: string;
  readonly keyFile: string;
  readonly listen: ListenAddress;
  readonly listenMetrics: ListenAddress;
  readonly logLevel: LogLevel;
}

/** ":8443", "127.0.0.1:8443", "[::1]:8443" */
const address = (text: string): ListenAddress => {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (match === null || port > 0xffff)
    throw new InvalidArgumentError(`"${text}" is not an address; write it as :8443.`);
  const host = match[1] ?? match[2] ?? '';
  return { host: host === '' ? undefined : host, port };
};

const serve = async (flags: WebhookFlags): Promise<void> => {
  const { WebhookServer } = await import('../admin/webhook/webhook-server.ts');
  const { Log } = await import('../agent/log.ts');
  const end = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => end.abort());
  process.stdout.on('error', () => {}); // nobody reads the log any more
  const log = new Log(flags.logLevel, (line) => process.stdout.write(line));
  await new WebhookServer({ ...flags, log }).run(end.signal);
};

export const webhookCommand = (): Command =>
  new Command('webhook')
    .description('serve the admission webhook that refuses wrong Peers')
    .option('--cert-file <file>', 'certificate, PEM; a renewed one is taken up', '')
    .option('--key-file <file>', 'its private key, PEM', '')
    .addOption(
      new Option('--listen <address>', 'admission reviews, HTTPS, at /validate')
        .argParser(address)
        .default(address(':8443'), ':8443'),
    )
    .addOption(
      new Option('--listen-metrics <address>', 'metrics, HTTP, at /metrics')
        .argParser(address)
        .default(address(':1107'), ':1107'),
    )
    .addOption(
      new Option('--log-level <level>', 'of the log on standard output, one JSON object a line')
        .choices(['all', 'debug', 'info', 'warn', 'error', 'none'])
        .default('info'),
    )
    .allowExcessArguments(false)
    .addHelpText(
      'after',
      `
Examples:
  kilowire webhook --cert-file /run/secrets/tls/tls.crt --key-file /run/secrets/tls/tls.key`,
    )
    .action((flags: WebhookFlags) => serve(flags));
