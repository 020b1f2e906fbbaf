/**
 * Configuration files: sections and settings good, nearly good and bad. A file is refused with a line number or taken;
 * what was taken is written and read again, and is the same. No refusal quotes a key.
 * @module
 */
import fc from 'fast-check';
import { ConfError, formatConf, parseConf } from '../../src/noise/conf-file.ts';
import { hex, modelled } from './model.ts';
import { must } from './target.ts';

const key = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('base64'));
const values = fc.oneof(
  key,
  fc.nat().map(String),
  fc.constantFrom(
    '',
    'off',
    'true',
    '0x1f',
    '10.0.0.1/24',
    '10.0.0.1',
    'fd00::1/64',
    '::/0, 0.0.0.0/0',
    ',',
    '#',
  ),
  fc.constantFrom(
    '192.0.2.1:1',
    'a.example:51820',
    '[fe80::1%eth0]:9',
    '1.2.3:4',
    'x'.repeat(300),
    'iptables -A a=b',
  ),
  fc.string({ maxLength: 30 }),
);
const names = fc.constantFrom(
  ...[
    'PrivateKey',
    'ListenPort',
    'FwMark',
    'Address',
    'DNS',
    'MTU',
    'Table',
    'SaveConfig',
    'PreUp',
    'PostUp',
  ],
  ...[
    'PreDown',
    'PostDown',
    'PublicKey',
    'PresharedKey',
    'AllowedIPs',
    'Endpoint',
    'PersistentKeepalive',
    'publickey',
  ],
);
const setting = (name: string, value: fc.Arbitrary<string>) => value.map((text) => `${name} = ${text}`);
const lines = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom('[Interface]', '[Peer]', '[peer]', '', '# note', '[Pee]') },
  { weight: 3, arbitrary: setting('PublicKey', key) },
  setting('PrivateKey', key),
  setting('PresharedKey', key),
  fc.tuple(names, values).map(([name, value]) => `${name}=${value}`),
  fc.string({ maxLength: 20 }),
);
const wellFormed = fc
  .array(setting('PublicKey', key), { maxLength: 4 })
  .map((all) => [
    '[Interface]',
    'PrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEA=',
    'ListenPort = 7',
    ...all.flatMap((line) => ['[Peer]', line]),
  ]);
const inputs = fc
  .tuple(fc.oneof(fc.constant([] as string[]), wellFormed), fc.array(lines, { maxLength: 12 }))
  .map(([head, tail]) => [...head, ...tail].join('\n'));

export const conf = modelled({
  name: 'conf',
  inputs,
  perRound: 2000,
  show: (text) => hex(Buffer.from(text)),
  check: (text) => {
    let file: ReturnType<typeof parseConf>;
    try {
      file = parseConf(text);
    } catch (error) {
      must(error instanceof ConfError, `threw ${String(error)}`);
      must(error.line >= 1 && error.line <= text.split('\n').length, `line ${error.line}`);
      return;
    }
    const written = formatConf(file.device, file.quick);
    const again = parseConf(written);
    must(formatConf(again.device, again.quick) === written, `not the same when read again: ${written}`);
  },
});
