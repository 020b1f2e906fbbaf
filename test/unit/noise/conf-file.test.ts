/**
 * Configuration files: what wg(8) and wg-quick(8) accept, what we say when they would not, and the way back to text.
 * Source: wg(8), wg-quick(8); wireguard-tools config.c.
 * @module
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBase64Key, parseBase64Key } from '../../../src/noise/base64-key.ts';
import { ConfError, formatConf, parseConf } from '../../../src/noise/conf-file.ts';
import { formatCidr, formatEndpoint, network, parseEndpoint } from '../../../src/noise/ip.ts';

const KEY_A = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const KEY_B = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';
const KEY_C = '/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=';

const LAPTOP = `
# a laptop
[Interface]
PrivateKey = ${KEY_A}   # mine
address = 10.0.0.5/32, fd00::5
ListenPort=51820
FwMark = 0xca6c
DNS = 10.43.0.10, cluster.local
MTU = 1400
Table = off
SaveConfig = true
PostUp = ip rule add from 10.0.0.5 table 7
PostUp = sysctl -w net.ipv4.ip_forward=1

[peer]
PUBLICKEY = ${KEY_B}
PresharedKey = ${KEY_C}
AllowedIPs = 10.4.0.1, 192.168.10.0/24
AllowedIPs = fd00:1::7/64
Endpoint = 192.0.2.1:51820
PersistentKeepalive = 25

[Peer]
PublicKey = ${KEY_C}
AllowedIPs =
Endpoint = node-1.example.org:51821
PersistentKeepalive = off
`;

describe('a configuration file', () => {
  it('is read as wg and wg-quick read it', () => {
    const { device, quick } = parseConf(LAPTOP);
    expect(formatBase64Key(device.privateKey!)).toBe(KEY_A);
    expect(device).toMatchObject({ listenPort: 51820, fwmark: 0xca6c });
    expect(quick.addresses.map(formatCidr)).toEqual(['10.0.0.5/32', 'fd00::5/128']);
    expect(quick).toMatchObject({
      dns: ['10.43.0.10', 'cluster.local'],
      mtu: 1400,
      table: 'off',
      saveConfig: true,
      postUp: ['ip rule add from 10.0.0.5 table 7', 'sysctl -w net.ipv4.ip_forward=1'],
      preUp: [],
    });
    const [first, second] = device.peers;
    expect(formatBase64Key(first!.publicKey)).toBe(KEY_B);
    expect(formatBase64Key(first!.presharedKey!)).toBe(KEY_C);
    expect(first!.allowedIps.map(formatCidr)).toEqual(['10.4.0.1/32', '192.168.10.0/24', 'fd00:1::/64']);
    expect(formatEndpoint(first!.endpoint!)).toBe('192.0.2.1:51820');
    expect(first!.persistentKeepalive).toBe(25);
    expect(second!.allowedIps).toEqual([]);
    expect(second!.endpointName).toEqual({ host: 'node-1.example.org', port: 51821 });
    expect(second!.persistentKeepalive).toBe(0);
  });

  it('may have Windows line ends, and may be empty', () => {
    expect(parseConf(LAPTOP.replaceAll('\n', '\r\n'))).toEqual(parseConf(LAPTOP));
    expect(parseConf('').device).toEqual({ peers: [] });
  });

  it.each([
    ['ListenPort = 1', 1, 'before [Interface]'],
    ['[Interface]\nListenPort = 65536', 2, '"65536"'],
    ['[Interface]\n\nColour = red', 3, '"Colour" is not a setting of [Interface]'],
    ['[Interface]\nEndpoint = 1.2.3.4:5', 2, 'not a setting of [Interface]'],
    ['[Interface]\nFwMark = 0x1ffffffff', 2, 'FwMark'],
    ['[Interface]\nSaveConfig = yes', 2, 'true or false'],
    ['[Interfaces]', 1, 'expected [Interface]'],
    ['[Interface]\nnonsense', 2, 'expected [Interface]'],
    ['# c\n[Peer]\nAllowedIPs = ::/0', 2, 'no PublicKey'],
    ['[Peer]\nAllowedIPs = 10.0.0.0/24, 10.0.0.0/33', 2, '"10.0.0.0/33"'],
    ['[Peer]\nEndpoint = 1.2.3.400:5', 2, '1.2.3.400:5'],
    ['[Peer]\nEndpoint = ::1:51820', 2, '[2001:db8::1]:51820'],
    ['[Peer]\nEndpoint = host:99999', 2, 'port'],
    ['[Peer]\nPersistentKeepalive = 65536', 2, 'PersistentKeepalive'],
  ])('that is wrong names the line: %j', (text, line, words) => {
    const error = (() => {
      try {
        parseConf(text);
      } catch (thrown) {
        return thrown;
      }
    })() as ConfError;
    expect(error).toBeInstanceOf(ConfError);
    expect(error.code).toBe('ERR_CONF_SYNTAX');
    expect(error.line).toBe(line);
    expect(error.message).toContain(`line ${line}: `);
    expect(error.message).toContain(words);
  });

  it.each(['PrivateKey', 'PresharedKey'])('with a broken %s does not show it in the error', (name) => {
    const broken = `${KEY_A.slice(0, 30)}!`;
    const section = name === 'PrivateKey' ? '[Interface]' : '[Peer]';
    expect(() => parseConf(`${section}\n${name} = ${broken}`)).toThrow(/line 2: .* is not a key/);
    try {
      parseConf(`${section}\n${name} = ${broken}`);
    } catch (error) {
      expect(String(error)).not.toContain(KEY_A.slice(0, 8));
    }
  });

  it('comes back from its text', () => {
    const { device, quick } = parseConf(LAPTOP);
    const again = parseConf(formatConf(device, quick));
    // "off" is what leaving the line out means.
    const peers = device.peers.map(({ persistentKeepalive, ...peer }) =>
      persistentKeepalive ? { ...peer, persistentKeepalive } : peer,
    );
    expect(again).toEqual({ device: { ...device, peers }, quick });
  });

  it('comes back from its text, whatever it configures', () => {
    const key = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .filter((bytes) => bytes.some((byte) => byte !== 0));
    const range = fc
      .tuple(
        fc.oneof(
          fc.uint8Array({ minLength: 4, maxLength: 4 }),
          fc.uint8Array({ minLength: 16, maxLength: 16 }),
        ),
        fc.nat(128),
      )
      .map(([address, prefix]) => network({ address, prefix: prefix % (address.length * 8 + 1) }));
    const peer = fc.record(
      {
        publicKey: key,
        presharedKey: key,
        allowedIps: fc.array(range, { maxLength: 5 }),
        endpoint: fc
          .constantFrom('192.0.2.7:1', '[2001:db8::1]:65535', '[fe80::1%eth0]:9')
          .map((e) => parseEndpoint(e)!),
        persistentKeepalive: fc.integer({ min: 1, max: 65535 }),
      },
      { requiredKeys: ['publicKey', 'allowedIps'] },
    );
    const device = fc.record(
      {
        privateKey: key,
        listenPort: fc.integer({ min: 1, max: 65535 }),
        fwmark: fc.integer({ min: 1, max: 0xffff_ffff }),
        peers: fc.array(peer, { maxLength: 4 }),
      },
      { requiredKeys: ['peers'] },
    );
    fc.assert(
      fc.property(device, (value) => {
        expect(parseConf(formatConf(value)).device).toEqual(value);
      }),
    );
  });

  it('never makes the reader fail with anything but its own error', () => {
    const word = fc.constantFrom(
      '[Interface]',
      '[Peer]',
      'PublicKey',
      '=',
      'AllowedIPs',
      'Endpoint',
      KEY_A,
      '\n',
      '#',
      ',',
      ':',
      '::/0',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(word).map((words) => words.join(' ')),
        ),
        (text) => {
          try {
            parseConf(text);
          } catch (error) {
            expect(error).toBeInstanceOf(ConfError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('a key in base64', () => {
  it('has one spelling only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        const text = formatBase64Key(key);
        expect(text).toBe(Buffer.from(key).toString('base64'));
        expect(parseBase64Key(text)).toEqual(key);
      }),
    );
    // The last digit carries two bits that belong to no byte; they must be zero.
    expect(parseBase64Key(`${'A'.repeat(42)}B=`)).toBeNull();
    expect(parseBase64Key('A'.repeat(44))).toBeNull();
    expect(parseBase64Key(`${'A'.repeat(43)}`)).toBeNull();
  });
});
