/**
 * The control socket's text: effects in order, error numbers, framing, and the way there and back.
 * Source: wireguard.com/xplatform (its example); wireguard-go device/uapi.go for the error numbers.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceStatus } from '../../../src/noise/device-config.ts';
import { replaceWith } from '../../../src/noise/device-config.ts';
import { cidr, formatCidr, formatEndpoint, parseEndpoint } from '../../../src/noise/ip.ts';
import { UapiConversation } from '../../../src/noise/uapi-conversation.ts';
import { EADDRINUSE, type SetSink } from '../../../src/noise/uapi-parser.ts';
import {
  formatGet,
  formatSet,
  joinChunks,
  parseGet,
  parseSetReply,
  UapiReplyError,
} from '../../../src/noise/uapi-text.ts';
import { hex, unhex } from './fixtures.ts';
import { unpack } from './unpack.ts';

const PRIVATE = 'e84b5a6d2717c1003a13b431570353dbaca9146cf150c5f8575680feba52027a';
const OWN = '11'.repeat(32);
const PEER_A = 'b85996fecc9c7f1fc6d2572a76eda11d59bcd20be8e543b15ce4bd85a8e75a33';
const PEER_B = '58402e695ba1772b1cc9309755f043251ea77fdcf10fbe63989ceb7e19321376';
const PSK = '188515093e952f5f22e865cef3012e72f8b5f0b598ac0309d5dacce3b70fcf52';

/** Writes down what it is told; knows PEER_A, and OWN as ourselves. */
function recorder(busyPort = 0) {
  const calls: string[] = [];
  const say = (text: string) => {
    calls.push(text);
    return 0;
  };
  const sink: SetSink = {
    privateKey: (key) => say(`private ${hex(key)}`),
    listenPort: (port) => (port === busyPort ? EADDRINUSE : say(`port ${port}`)),
    fwmark: (mark) => say(`mark ${mark}`),
    replacePeers: () => say('replace peers'),
    peer: (key) => {
      const name = hex(key);
      say(`peer ${name.slice(0, 4)}`);
      if (name === OWN) return 'own-key';
      return name === PEER_A ? 'found' : 'created';
    },
    removePeer: () => say('remove'),
    presharedKey: (key) => say(`psk ${hex(key).slice(0, 4)}`),
    endpoint: (endpoint) => say(`endpoint ${formatEndpoint(endpoint)}`),
    persistentKeepalive: (seconds) => say(`keepalive ${seconds}`),
    replaceAllowedIps: () => say('replace ips'),
    allowedIp: (range) => say(`allow ${formatCidr(range)}`),
    allowedIps: (packed) => {
      for (const range of unpack(packed)) say(`allow ${formatCidr(range)}`);
    },
    removeAllowedIp: (range) => say(`disallow ${formatCidr(range)}`),
    peerEnd: () => void say('end'),
  };
  const replies: string[] = [];
  const conversation = new UapiConversation({
    get: () => void replies.push('GET'),
    set: () => sink,
    reply: (text) => void replies.push(text),
  });
  const send = (text: string) => conversation.push(new TextEncoder().encode(text));
  return { calls, replies, conversation, send };
}

const ok = 'errno=0\n\n';
const EXAMPLE = `set=1
private_key=${PRIVATE}
fwmark=0
listen_port=12912
replace_peers=true
public_key=${PEER_A}
preshared_key=${PSK}
replace_allowed_ips=true
allowed_ip=192.168.4.4/32
endpoint=[abcd:23::33%2]:51820
public_key=${PEER_B}
replace_allowed_ips=true
allowed_ip=192.168.4.6/32
allowed_ip=-192.168.4.10/24
persistent_keepalive_interval=111
endpoint=182.122.22.19:3233
protocol_version=1

`;
const EXAMPLE_CALLS = [
  `private ${PRIVATE}`,
  'mark 0',
  'port 12912',
  'replace peers',
  'peer b859',
  'psk 1885',
  'replace ips',
  'allow 192.168.4.4/32',
  'endpoint [abcd:23::33%2]:51820',
  'end',
  'peer 5840',
  'replace ips',
  'allow 192.168.4.6/32',
  'disallow 192.168.4.10/24',
  'keepalive 111',
  'endpoint 182.122.22.19:3233',
  'end',
];

describe('a set', () => {
  it('is applied line by line, in order', () => {
    const { send, calls, replies } = recorder();
    expect(send(EXAMPLE)).toBe(true);
    expect(calls).toEqual(EXAMPLE_CALLS);
    expect(replies).toEqual([ok]);
  });

  it('may arrive in any pieces', () => {
    const bytes = new TextEncoder().encode(EXAMPLE);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes.length), { maxLength: 30 }), (cuts) => {
        const { conversation, calls, replies } = recorder();
        const edges = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        for (let i = 1; i < edges.length; i++) {
          expect(conversation.push(bytes.slice(edges[i - 1], edges[i]))).toBe(true);
        }
        expect(calls).toEqual(EXAMPLE_CALLS);
        expect(replies).toEqual([ok]);
      }),
    );
  });

  it('of one peer says nothing else', () => {
    const { send, calls } = recorder();
    send(`set=1\npublic_key=${PEER_B}\n\n`);
    expect(calls).toEqual(['peer 5840', 'end']);
  });

  it('with update_only takes back a peer that was not there and passes over its lines', () => {
    const { send, calls, replies } = recorder();
    send(
      `set=1\npublic_key=${PEER_B}\nupdate_only=true\nallowed_ip=::/0\npublic_key=${PEER_A}\nupdate_only=true\n`,
    );
    send('allowed_ip=::/0\n\n');
    expect(calls).toEqual(['peer 5840', 'remove', 'peer b859', 'allow ::/0', 'end']);
    expect(replies).toEqual([ok]);
  });

  it('with remove passes over the rest of the section', () => {
    const { send, calls } = recorder();
    send(`set=1\npublic_key=${PEER_A}\nremove=true\nallowed_ip=::/0\n\n`);
    expect(calls).toEqual(['peer b859', 'remove']);
  });

  it('with our own key accepts the section and applies none of it, but still reads it', () => {
    const { send, calls, replies } = recorder();
    send(`set=1\npublic_key=${OWN}\nallowed_ip=::/0\nremove=true\n\n`);
    expect(calls).toEqual(['peer 1111']);
    send(`set=1\npublic_key=${OWN}\nallowed_ip=::/129\n\n`);
    expect(replies).toEqual([ok, 'errno=-22\n\n']);
  });

  it.each([
    ['a line without "="', 'hello', 71],
    ['an unknown key', 'colour=red', 22],
    ['a peer key before a peer', 'allowed_ip=::/0', 22],
    ['a short private key', `private_key=${PRIVATE.slice(1)}`, 22],
    ['a private key that is no hexadecimal', `private_key=${'g'.repeat(64)}`, 22],
    ['a port too high', 'listen_port=65536', 22],
    ['a port that is no number', 'listen_port=0x10', 22],
    ['an empty port', 'listen_port=', 22],
    ['a port in use', 'listen_port=999', 98],
    ['a mark too high', 'fwmark=4294967296', 22],
    ['replace_peers that is not true', 'replace_peers=false', 22],
    ['a short public key', 'public_key=00', 22],
    ['a device key after a peer', `public_key=${PEER_A}\nlisten_port=1`, 22],
    ['update_only that is not true', `public_key=${PEER_A}\nupdate_only=1`, 22],
    ['remove that is not true', `public_key=${PEER_A}\nremove=1`, 22],
    ['a named endpoint', `public_key=${PEER_A}\nendpoint=example.org:1`, 22],
    ['an endpoint without brackets', `public_key=${PEER_A}\nendpoint=::1:1`, 22],
    ['a keepalive too long', `public_key=${PEER_A}\npersistent_keepalive_interval=65536`, 22],
    ['replace_allowed_ips that is not true', `public_key=${PEER_A}\nreplace_allowed_ips=`, 22],
    ['an allowed ip without a length', `public_key=${PEER_A}\nallowed_ip=10.0.0.1`, 22],
    ['another protocol', `public_key=${PEER_A}\nprotocol_version=2`, 22],
  ])('with %s stops there with its error', (_, line, errno) => {
    const { send, calls, replies } = recorder(999);
    expect(send(`set=1\nfwmark=7\n${line}\nfwmark=8\n\n`)).toBe(true);
    expect(replies).toEqual([`errno=-${errno}\n\n`]);
    expect(calls[0]).toBe('mark 7');
    expect(calls).not.toContain('mark 8');
    // The connection goes on with the next operation.
    send('set=1\nfwmark=9\n\n');
    expect(calls.at(-1)).toBe('mark 9');
    expect(replies.at(-1)).toBe(ok);
  });

  it('that failed is over for a client that sends its next one without an empty line', () => {
    const { send, calls, replies } = recorder();
    send('set=1\nnonsense\n');
    send('set=1\nfwmark=9\n\n');
    expect(replies).toEqual(['errno=-71\n\n', ok]);
    expect(calls).toEqual(['mark 9']);
  });

  it('that is cut off still closes its last section', () => {
    const { send, conversation, calls } = recorder();
    send(`set=1\npublic_key=${PEER_B}\nallowed_ip=::/0\n`);
    conversation.end();
    expect(calls).toEqual(['peer 5840', 'allow ::/0', 'end']);
  });

  it('with a line beyond 64 KiB is an input error, and the connection ends', () => {
    const { send, replies } = recorder();
    send('set=1\n');
    expect(send('x'.repeat(65_536))).toBe(true);
    expect(send('x')).toBe(false);
    expect(replies).toEqual(['errno=-5\n\n']);
  });

  it('leaves no key in the bytes it was given', () => {
    const { conversation } = recorder();
    const chunk = new TextEncoder().encode(`set=1\nprivate_key=${PRIVATE}\n\n`);
    conversation.push(chunk);
    expect(chunk.every((byte) => byte === 0)).toBe(true);
  });
});

describe('a conversation', () => {
  it('takes several operations, also in one piece', () => {
    const { send, replies } = recorder();
    expect(send('get=1\n\nset=1\nfwmark=1\n\nget=1\n\n')).toBe(true);
    expect(replies).toEqual(['GET', ok, 'GET']);
  });

  it('answers a get with lines behind it by a positive error', () => {
    const { send, replies } = recorder();
    send('get=1\nprivate_key=\n\nget=1\n\n');
    expect(replies).toEqual(['errno=22\n\n', 'GET']);
  });

  it.each(['get=2\n', 'hello\n', '\n', 'set=1 \n'])('ends without a word at %j', (text) => {
    const { send, replies } = recorder();
    expect(send(text)).toBe(false);
    expect(replies).toEqual([]);
  });

  it('stands any bytes', () => {
    const line = fc.oneof(
      fc.constantFrom(
        'set=1',
        'get=1',
        '',
        `public_key=${PEER_A}`,
        `public_key=${PEER_B}`,
        'remove=true',
        '=',
      ),
      fc.string(),
    );
    const text = fc.oneof(
      fc.uint8Array({ maxLength: 500 }),
      fc.array(line).map((lines) => new TextEncoder().encode(lines.join('\n'))),
    );
    fc.assert(
      fc.property(fc.array(text), (chunks) => {
        const { conversation } = recorder();
        for (const chunk of chunks) if (!conversation.push(chunk)) break;
        conversation.end();
      }),
      { numRuns: 500 },
    );
  });
});

describe('a get', () => {
  const full: DeviceStatus = {
    privateKey: unhex(PRIVATE),
    listenPort: 12912,
    fwmark: 7,
    peers: [
      {
        publicKey: unhex(PEER_A),
        presharedKey: unhex(PSK),
        endpoint: parseEndpoint('[abcd:23::33]:51820')!,
        persistentKeepalive: 111,
        allowedIps: [cidr('192.168.4.4/32'), cidr('fd00::/64')],
        lastHandshake: { seconds: 1_790_000_000, nanoseconds: 123_456_789 },
        txBytes: 38333,
        rxBytes: 2224,
      },
      {
        publicKey: unhex(PEER_B),
        persistentKeepalive: 0,
        allowedIps: [],
        lastHandshake: { seconds: 0, nanoseconds: 0 },
        txBytes: 0,
        rxBytes: 0,
      },
    ],
  };
  const text = (device: DeviceStatus) => new TextDecoder().decode(joinChunks(formatGet(device)));

  it('is written in the order and with the lines wg(8) expects', () => {
    expect(text(full)).toBe(`private_key=${PRIVATE}
listen_port=12912
fwmark=7
public_key=${PEER_A}
preshared_key=${PSK}
protocol_version=1
endpoint=[abcd:23::33]:51820
last_handshake_time_sec=1790000000
last_handshake_time_nsec=123456789
tx_bytes=38333
rx_bytes=2224
persistent_keepalive_interval=111
allowed_ip=192.168.4.4/32
allowed_ip=fd00::/64
public_key=${PEER_B}
preshared_key=${'0'.repeat(64)}
protocol_version=1
last_handshake_time_sec=0
last_handshake_time_nsec=0
tx_bytes=0
rx_bytes=0
persistent_keepalive_interval=0
errno=0

`);
  });

  it('of an empty device is its errno', () => {
    expect(text({ peers: [] })).toBe('errno=0\n\n');
    expect(text({ privateKey: new Uint8Array(32), listenPort: 0, fwmark: 0, peers: [] })).toBe('errno=0\n\n');
  });

  it('comes back from its text', () => {
    expect(parseGet(text(full))).toEqual(full);
  });

  it('streams a hundred and thirty thousand allowed ips in chunks that stay small', () => {
    const allowedIps = Array.from({ length: 130_560 }, (_, i) => ({
      address: Uint8Array.of(10, i >> 16, (i >> 8) & 255, i & 255),
      prefix: 32,
    }));
    const device = { peers: [{ ...full.peers[0]!, allowedIps }] };
    const sizes = [...formatGet(device)].map((chunk) => chunk.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(32 * 1024);
    expect(parseGet(text(device)).peers[0]?.allowedIps).toEqual(allowedIps);
  });

  it('from another implementation may carry lines we do not know', () => {
    expect(parseGet(`listen_port=1\nfancy=2\npublic_key=${PEER_A}\nrtt_ms=3\nerrno=0\n\n`)).toMatchObject({
      listenPort: 1,
      peers: [{ allowedIps: [] }],
    });
  });

  it.each([
    ['listen_port=1\n', 'ended before'],
    ['', 'ended before'],
    ['hello\nerrno=0\n\n', 'without "="'],
    ['listen_port=x\nerrno=0\n\n', 'listen_port'],
    [`public_key=${PEER_A}\nallowed_ip=x\nerrno=0\n\n`, 'allowed_ip'],
    ['errno=-13\n\n', 'errno 13'],
  ])('that is wrong is refused in words: %j', (reply, words) => {
    expect(() => parseGet(reply)).toThrow(UapiReplyError);
    expect(() => parseGet(reply)).toThrow(words);
  });
});

describe('a set request', () => {
  it('is read back as what it was made from', () => {
    const { conversation, calls, replies } = recorder();
    const request = formatSet({
      privateKey: unhex(PRIVATE),
      fwmark: 0,
      listenPort: 12912,
      replacePeers: true,
      peers: [
        {
          publicKey: unhex(PEER_A),
          updateOnly: true,
          removeAllowedIps: [cidr('10.0.0.0/8')],
          allowedIps: [cidr('::/0')],
        },
        { publicKey: unhex(PEER_B), remove: true },
      ],
    });
    for (const chunk of request) conversation.push(chunk);
    expect(calls).toEqual([
      `private ${PRIVATE}`,
      'port 12912',
      'mark 0',
      'replace peers',
      'peer b859',
      'disallow 10.0.0.0/8',
      'allow ::/0',
      'end',
      'peer 5840',
      'remove',
    ]);
    expect(replies).toEqual([ok]);
  });

  it('that replaces a whole configuration replaces peers and their allowed ips', () => {
    const change = replaceWith({ peers: [{ publicKey: unhex(PEER_A), allowedIps: [cidr('10.0.0.0/8')] }] });
    expect(new TextDecoder().decode(joinChunks(formatSet(change)))).toBe(
      `set=1\nreplace_peers=true\npublic_key=${PEER_A}\nreplace_allowed_ips=true\nallowed_ip=10.0.0.0/8\n\n`,
    );
  });

  it('is answered by an error number of either sign', () => {
    expect(parseSetReply('errno=0\n\n')).toBe(0);
    expect(parseSetReply('errno=-22\n\n')).toBe(22);
    expect(parseSetReply('errno=98\n\n')).toBe(98);
    expect(() => parseSetReply('')).toThrow(UapiReplyError);
  });
});
