/**
 * Conversations on the control socket: lines good, nearly good and bad, cut into pieces anywhere. What they do and what
 * is answered must not depend on the pieces, and nothing of a piece may be left in its buffer.
 * @module
 */
import fc from 'fast-check';
import { UapiConversation } from '../../src/noise/uapi-conversation.ts';
import type { SetSink } from '../../src/noise/uapi-parser.ts';
import { unpack } from '../unit/noise/unpack.ts';
import { hex, modelled } from './model.ts';
import { must } from './target.ts';

const OWN = 'aa'.repeat(32);
const keys = fc.oneof(
  fc.constantFrom('11'.repeat(32), '22'.repeat(32), OWN, '00'.repeat(32), '1', 'zz'.repeat(32), ''),
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map(hex),
);
const numbers = fc.oneof(
  fc.constantFrom('0', '1', '51820', '65535', '65536', '4294967295', '4294967296', '-1', '0x1', ''),
  fc.nat().map(String),
);
const ranges = fc.oneof(
  fc.constantFrom(
    '10.0.0.0/8',
    '-10.0.0.0/8',
    'fd00::/16',
    '::/0',
    '10.0.0.0/33',
    '10.0.0.0',
    '--1.2.3.4/5',
    '/',
  ),
  fc.ipV4().map((address) => `${address}/24`),
  fc.ipV6().map((address) => `${address}/64`),
);
const endpoints = fc.oneof(
  fc.constantFrom(
    '192.0.2.1:1',
    '[2001:db8::1]:65535',
    '[fe80::1%eth0]:1',
    '192.0.2.1',
    '[::1]',
    'a:b',
    '1.2.3.4:70000',
  ),
  fc.ipV6().map((address) => `[${address}]:7`),
);
const named = (name: string, values: fc.Arbitrary<string>) => values.map((value) => `${name}=${value}`);
const lines = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('set=1', 'get=1', 'kilowire_get=1', '', '', '') },
  { weight: 3, arbitrary: named('public_key', keys) },
  named('private_key', keys),
  named('preshared_key', keys),
  named('listen_port', numbers),
  named('fwmark', numbers),
  named('persistent_keepalive_interval', numbers),
  named('allowed_ip', ranges),
  named('endpoint', endpoints),
  fc.constantFrom('replace_peers=true', 'remove=true', 'update_only=true', 'replace_allowed_ips=true'),
  fc.constantFrom('remove=false', 'protocol_version=1', 'protocol_version=2', 'nonsense', '=', 'set=1 '),
  fc.string({ maxLength: 40 }),
);
/** Lines with their newlines, some bytes changed, and where to cut. */
const inputs = fc
  .record({
    lines: fc.array(lines, { maxLength: 24 }),
    changes: fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }),
    cuts: fc.array(fc.nat(), { maxLength: 8 }),
  })
  .map(({ lines: all, changes, cuts }) => {
    const bytes = Uint8Array.from(Buffer.from(all.map((line) => `${line}\n`).join('')));
    for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
    const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((x, y) => x - y);
    return { bytes, places };
  });

/** A device that writes down what is done to it. */
function recorder(log: string[]): SetSink {
  const peers = new Set<string>();
  let isOpen = false;
  const note = (text: string): number => {
    log.push(text);
    return 0;
  };
  const inSection = (text: string): number => {
    must(isOpen, `${text} outside of a section`);
    return note(text);
  };
  return {
    privateKey: (key) => note(`private ${hex(key)}`),
    listenPort: (port) => (port === 1 ? 98 : note(`port ${port}`)),
    fwmark: (mark) => note(`mark ${mark}`),
    replacePeers: () => note('replace'),
    peer(key) {
      must(!isOpen, 'a section in a section');
      const name = hex(key);
      log.push(`peer ${name}`);
      if (name === OWN) return 'own-key';
      isOpen = true;
      if (peers.has(name)) return 'found';
      peers.add(name);
      return 'created';
    },
    removePeer() {
      inSection('remove');
      isOpen = false;
      return 0;
    },
    presharedKey: (key) => inSection(`psk ${hex(key)}`),
    endpoint: ({ address, port }) => inSection(`endpoint ${hex(address)} ${port}`),
    persistentKeepalive: (seconds) => inSection(`keepalive ${seconds}`),
    replaceAllowedIps: () => inSection('replace ranges'),
    allowedIp: ({ address, prefix }) => inSection(`range ${hex(address)}/${prefix}`),
    allowedIps(packed) {
      for (const { address, prefix } of unpack(packed)) inSection(`range ${hex(address)}/${prefix}`);
    },
    removeAllowedIp: ({ address, prefix }) => inSection(`no range ${hex(address)}/${prefix}`),
    peerEnd() {
      inSection('end');
      isOpen = false;
    },
  };
}

function converse(bytes: Uint8Array, places: readonly number[]): string[] {
  const log: string[] = [];
  const conversation = new UapiConversation({
    get: (operation) => log.push(operation),
    set: () => recorder(log),
    reply: (text) => {
      must(/^errno=-?\d+\n\n$/.test(text), `answered ${JSON.stringify(text)}`);
      log.push(text);
    },
  });
  let isOpen = true;
  for (const [i, from] of [0, ...places].entries()) {
    if (!isOpen) break;
    const piece = bytes.slice(from, places[i] ?? bytes.length);
    isOpen = conversation.push(piece);
    must(
      piece.every((byte) => byte === 0),
      'left a piece unwiped',
    );
  }
  if (!isOpen) log.push('closed');
  conversation.end();
  return log;
}

export const uapi = modelled({
  name: 'uapi',
  inputs,
  perRound: 2000,
  show: ({ bytes, places }) => `${hex(bytes)} cut at ${places.join(' ')}`,
  check: ({ bytes, places }) => {
    const whole = converse(bytes, []);
    const pieces = converse(bytes, places);
    must(whole.join('|') === pieces.join('|'), `whole: ${whole.join('|')}; in pieces: ${pieces.join('|')}`);
  },
});
