/**
 * `kilowire client`: what it makes in a cluster, what it gives out, what it refuses.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { publicKeyOf } from '../../../src/agent/key-file.ts';
import { parseBase64Key } from '../../../src/noise/base64-key.ts';
import { parseConf } from '../../../src/noise/conf-file.ts';
import { formatCidr } from '../../../src/noise/ip.ts';
import { AdminWorld, nowSeconds } from './admin-world.ts';

const key = (letter: string): string => `${letter.repeat(42)}E=`;
const world = new AdminWorld();
const folder = mkdtempSync(join(tmpdir(), 'kilowire-client-'));
beforeAll(async () => await world.start());
afterAll(async () => {
  await world.end();
  rmSync(folder, { recursive: true });
});
const service = (namespace: string, name: string, clusterIP: string): void => {
  world.api.store.put('services', `${namespace}/${name}`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { clusterIP },
  } as never);
};
const node = (name: string, endpoint: string, podCIDR: string): void =>
  world.put({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      annotations: {
        'kilo.squat.ai/location': name,
        'kilo.squat.ai/key': key(name),
        'kilo.squat.ai/endpoint': endpoint,
        'kilo.squat.ai/last-seen': String(nowSeconds()),
        'kilo.squat.ai/granularity': 'location',
      },
    },
    spec: { podCIDR },
  } as never);
const peers = () => world.api.store.list('peers.kilo.squat.ai').map(([, peer]) => peer as never as Peer);
interface Peer {
  readonly metadata: { readonly name: string; readonly annotations?: Record<string, string> };
  readonly spec: Record<string, unknown>;
}
beforeEach(() => {
  for (const { metadata } of peers()) world.api.store.delete('peers.kilo.squat.ai', metadata.name);
  node('a', '203.0.113.1:51820', '10.42.1.0/24');
  node('b', '203.0.113.2:51820', '10.42.2.0/24');
  service('default', 'kubernetes', '10.43.0.1');
  service('kube-system', 'kube-dns', '10.43.0.10');
});
const client = (...args: string[]) => world.run('client', ...args);

describe('kilowire client add', () => {
  it('makes a Peer of a public key, and prints the file with the private one', async () => {
    const { status, stdout, stderr } = await client('add', 'laptop');
    expect(status).toBe(0);
    const { device, quick } = parseConf(stdout);
    expect(quick.addresses.map(formatCidr)).toEqual(['10.5.0.1/32']);
    expect(quick.dns).toEqual(['10.43.0.10', 'svc.cluster.local']);
    expect(device.peers.map(({ allowedIps }) => allowedIps.map(formatCidr).join(' '))).toEqual([
      '10.42.1.0/24 10.4.0.1/32 10.43.0.0/16',
      '10.42.2.0/24 10.4.0.2/32',
    ]);
    const secret = device.privateKey ?? new Uint8Array(32);
    expect(peers()).toMatchObject([
      {
        metadata: { name: 'laptop' },
        spec: { allowedIPs: ['10.5.0.1/32'], persistentKeepalive: 25, publicKey: publicKeyOf(secret) },
      },
    ]);
    expect(JSON.stringify(peers())).not.toContain(Buffer.from(secret).toString('base64'));
    expect(stderr).toContain('The services are taken to be 10.43.0.0/16');
  });

  it('writes a file that only its owner reads, and never over another', async () => {
    const path = join(folder, 'laptop.conf');
    const { status, stdout } = await client(
      'add',
      'laptop',
      '--out',
      path,
      '--preshared-key',
      '--dns',
      'none',
    );
    expect([status, stdout]).toEqual([0, '']);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain('DNS');
    const shared = parseConf(text).device.peers.map(({ presharedKey }) =>
      Buffer.from(presharedKey ?? []).toString('base64'),
    );
    expect(shared).toEqual([peers()[0]?.spec.presharedKey, peers()[0]?.spec.presharedKey]);
    const again = await client('add', 'phone', '--out', path);
    expect(again.status).toBe(1);
    expect(again.stderr).toContain('there is such a file already');
    expect(readFileSync(path, 'utf8')).toBe(text);
    expect(peers().map(({ metadata }) => metadata.name)).toEqual(['laptop']);
  });

  it('writes the terms down, and says them in the list', async () => {
    const { stderr } = await client(
      'add',
      'guest',
      '--expires',
      '2d',
      '--allow',
      'default/web,10.42.0.0/16',
      '--tag',
      'a,b',
    );
    expect(stderr).toContain('allow kube-system/kube-dns too');
    const annotations = peers()[0]?.metadata.annotations ?? {};
    expect(annotations['kilowire.dev/allow']).toBe('default/web,10.42.0.0/16');
    const end = Date.parse(annotations['kilowire.dev/expires'] ?? '') / 1000;
    expect(Math.abs(end - nowSeconds() - 2 * 86_400)).toBeLessThan(60);
    const { stdout } = await client('list');
    expect(stdout).toMatch(
      /^guest +10\.5\.0\.1\/32 +active +in (?:47 hours|2 days) +default\/web 10\.42\.0\.0\/16 +no +a b$/m,
    );
    expect(await client('set', 'guest', '--expires', '2020-01-01', '--allow', 'everything')).toMatchObject({
      status: 0,
      stderr: '',
    });
    const listed = JSON.parse((await client('list', '-o', 'json')).stdout);
    expect(listed.clients).toMatchObject([{ name: 'guest', state: 'expired', allow: null }]);
  });

  it('takes pools from a flag or the CRD, and refuses one that is in use', async () => {
    await client('add', 'one', '--pool', '10.9.0.0/24,fd09::/64');
    expect(peers()[0]?.spec.allowedIPs).toEqual(['10.9.0.1/32', 'fd09::1/128']);
    const wrong = await client('add', 'two', '--pool', '10.42.0.0/16');
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toContain('The pool 10.42.0.0/16 overlaps 10.42.1.0/24, pods of a');
    expect((await client('add', 'two', '--pool', 'nonsense')).status).toBe(2);
    expect((await client('add', 'two', '--expires', 'soon')).status).toBe(2);
    expect((await client('add', 'two', '--allow', 'web')).stderr).toContain('"web" cannot be allowed');
    expect(peers()).toHaveLength(1);
  });

  it('knows nothing of a private key that was made elsewhere', async () => {
    const { stdout, stderr } = await client('add', 'phone', '--public-key', key('P'));
    expect(stdout).toContain('PrivateKey = PRIVATE_KEY');
    expect(stderr).toContain('Put the private key in the place of PRIVATE_KEY');
    expect(peers()[0]?.spec.publicKey).toBe(key('P'));
  });

  it('prints a code that a camera reads', async () => {
    const { stdout } = await client('add', 'phone', '--qr');
    expect(stdout).toMatch(/[▀▄█]/);
    expect(stdout).not.toContain('PrivateKey');
  });

  it('takes nothing for granted where a Peer stands in the way', async () => {
    await client('add', 'laptop');
    const again = await client('add', 'laptop');
    expect([again.status, again.stdout]).toEqual([1, '']);
    expect(again.stderr).toContain('There is a client "laptop" already');
  });
});

describe('a client’s life', () => {
  it('is disabled, enabled, given a new key, and removed', async () => {
    await client('add', 'laptop');
    const before = peers()[0]?.spec.publicKey;
    expect((await client('disable', 'laptop')).stdout).toMatch(/laptop .* disabled/);
    expect(peers()[0]?.metadata.annotations?.['kilowire.dev/enabled']).toBe('false');
    expect((await client('enable', 'laptop')).stdout).toMatch(/laptop .* active/);
    expect(peers()[0]?.metadata.annotations).toEqual({});
    const { stdout } = await client('rotate', 'laptop', '-o', 'json');
    const { config } = JSON.parse(stdout);
    const secret = parseConf(config).device.privateKey ?? new Uint8Array(32);
    expect(peers()[0]?.spec.publicKey).toBe(publicKeyOf(secret));
    expect(peers()[0]?.spec.publicKey).not.toBe(before);
    const path = join(folder, 'laptop.key');
    writeFileSync(path, `${Buffer.from(secret).toString('base64')}\n`);
    expect((await client('config', 'laptop', '--private-key', path)).stdout).toBe(config);
    expect(JSON.parse((await client('remove', 'laptop', '-o', 'json')).stdout)).toEqual({
      removed: 'laptop',
    });
    for (const verb of ['remove', 'rotate', 'config', 'disable'])
      expect(await client(verb, 'laptop')).toMatchObject({
        status: 1,
        stderr: 'kilowire: There is no client "laptop": kilowire client list shows all.\n',
      });
    expect((await client('list')).stdout).toContain('There are no clients');
  });
});

// As wg-gen-web writes it, with one client that is switched off.
const HUB = `# Updated: 2023-01-01 10:00:00 / Created: 2023-01-01 10:00:00
[Interface]
Address = 10.6.6.1/24
ListenPort = 51820
PrivateKey = aFNrJmbPJZ8ngCZbUbz1FKCp1UYRtY7LWZfwHNRvCkE=

PreUp = echo WireGuard PreUp
PostUp = iptables -A FORWARD -i wg0 -j ACCEPT
# Ada's Laptop / ada@example.org / Updated: 2023-01-02 / Created: 2023-01-02
[Peer]
PublicKey = ${key('L')}
PresharedKey = ${key('S')}
AllowedIPs = 10.6.6.2/32
# phone / grace@example.org / Updated: 2023-01-02 / Created: 2023-01-02
[Peer]
PublicKey = ${key('P')}
AllowedIPs = 10.6.6.3/32
`;

const wgKey = (seed: number): string => {
  const bytes = Buffer.alloc(32, seed);
  bytes[0] = (bytes[0] ?? 0) & 248;
  bytes[31] = ((bytes[31] ?? 0) & 127) | 64;
  return bytes.toString('base64');
};
const wgPublic = (seed: number): string => publicKeyOf(parseBase64Key(wgKey(seed)) ?? new Uint8Array(32));

/** A full mesh of three by hand, each pair with a preshared key of its own. */
const meshFile = (own: number, others: readonly number[]): string =>
  [
    `[Interface]\nAddress = 10.7.0.${own}/24\nPrivateKey = ${wgKey(own)}\nListenPort = 51820\n`,
    ...others.map(
      (other) =>
        `[Peer] # box-${other}\nPublicKey = ${wgPublic(other)}\nPresharedKey = ${key(String(own + other))}\nEndpoint = 198.51.100.${other}:51820\nAllowedIPs = 10.7.0.${other}/32\nPersistentKeepalive = 20\n`,
    ),
  ].join('\n');

describe('kilowire client import', () => {
  const write = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  it('shows what a hub’s file would become, then does it, then has nothing left to do', async () => {
    const path = write('wg0.conf', HUB);
    const dry = await client('import', path);
    expect(dry.status).toBe(0);
    expect(dry.stdout).toContain(`+ adas-laptop  10.6.6.2/32  with its preshared key  (${path} line 10)`);
    expect(dry.stdout).toContain(`+ phone  10.6.6.3/32  (${path} line 15)`);
    expect(dry.stdout).toContain(`- ${path} [Interface]: no other file names it, so it is a hub`);
    expect(dry.stderr).toContain('Nothing has been changed: --apply does it.');
    expect(dry.stdout).not.toContain(key('S'));
    expect(peers()).toEqual([]);
    expect((await client('import', path, '--apply')).status).toBe(0);
    expect(peers()).toMatchObject([
      {
        metadata: { name: 'adas-laptop', annotations: { 'kilowire.dev/email': 'ada@example.org' } },
        spec: { allowedIPs: ['10.6.6.2/32'], publicKey: key('L'), presharedKey: key('S') },
      },
      { metadata: { name: 'phone' }, spec: { allowedIPs: ['10.6.6.3/32'], publicKey: key('P') } },
    ]);
    const again = await client('import', path, '--apply', '-o', 'json');
    expect(JSON.parse(again.stdout).steps.map(({ action }: { action: string }) => action)).toEqual([
      'same',
      'same',
    ]);
    write('wg0.conf', HUB.replace('10.6.6.3/32', '10.6.6.4/32').replace(/PresharedKey.*\n/, ''));
    const changed = await client('import', path, '--apply');
    expect(changed.stdout).toContain('allowedIPs: 10.6.6.3/32 → 10.6.6.4/32');
    expect(changed.stdout).toContain('presharedKey: one → none');
    expect(peers()[0]?.spec.presharedKey).toBeUndefined();
    expect(peers()[1]?.spec.allowedIPs).toEqual(['10.6.6.4/32']);
  });

  it('puts the files of a full mesh together, and writes new ones', async () => {
    const paths = [1, 2, 3].map((own) =>
      write(
        `box-${own}.conf`,
        meshFile(
          own,
          [1, 2, 3].filter((other) => other !== own),
        ),
      ),
    );
    const out = join(folder, 'new');
    const { status, stdout } = await client('import', ...paths, '--apply', '--out-folder', out);
    expect(status).toBe(0);
    expect(stdout).toContain('Its pairs have different preshared keys');
    expect(
      peers().map(({ metadata, spec }) => [metadata.name, spec.allowedIPs, spec.publicKey, spec.endpoint]),
    ).toEqual(
      [1, 2, 3].map((at) => [
        `box-${at}`,
        [`10.7.0.${at}/32`],
        wgPublic(at),
        { dnsOrIP: { ip: `198.51.100.${at}` }, port: 51_820 },
      ]),
    );
    expect(peers()[0]?.spec).toMatchObject({ persistentKeepalive: 20 });
    const file = readFileSync(join(out, 'box-2.conf'), 'utf8');
    expect(statSync(join(out, 'box-2.conf')).mode & 0o777).toBe(0o600);
    const { device } = parseConf(file);
    expect(Buffer.from(device.privateKey ?? []).toString('base64')).toBe(wgKey(2));
    // Two locations, and the two others, which can be dialled.
    expect(device.peers).toHaveLength(4);
  });

  it('explains bad files by line, and does nothing then', async () => {
    const good = write('wg0.conf', HUB);
    const bad = write('bad.conf', '[Interface]\nListenPort = 99999\n');
    const worse = write('worse.conf', '[Peer]\nAllowedIPs = 10.0.0.0/24\n');
    const { status, stdout, stderr } = await client('import', good, bad, worse, '--apply');
    expect(status).toBe(1);
    expect(stdout).toContain(`! ${bad}: line 2: ListenPort must be a number from 0 to 65535, not "99999"`);
    expect(stdout).toContain(`! ${worse}: line 1: this [Peer] has no PublicKey`);
    expect(stderr).toContain('Nothing has been changed: put right what is marked with ! first.');
    expect(peers()).toEqual([]);
  });

  it('names what is in the way: ranges of the mesh, names and addresses of others', async () => {
    world.put({
      apiVersion: 'kilo.squat.ai/v1alpha1',
      kind: 'Peer',
      metadata: { name: 'phone' },
      spec: { allowedIPs: ['10.6.6.2/32'], publicKey: key('X') },
    } as never);
    const path = write('wg0.conf', HUB.replace('10.6.6.3/32', '10.42.2.0/25'));
    const { status, stdout } = await client('import', path, '--apply');
    expect(status).toBe(1);
    expect(stdout).toContain('the Peer "phone" has 10.6.6.2/32');
    expect(stdout).toContain('there is a Peer of this name with another key');
    expect(stdout).toContain('10.42.2.0/25 overlaps 10.42.2.0/24, pods of b');
    const other = write('wg0.conf', HUB);
    expect((await client('import', other, '--name', `${key('P')}=pixel`)).stdout).toContain(
      '+ pixel  10.6.6.3/32',
    );
  });

  it('reads what wg(8) reads', () => {
    // The example's private key is one: wg would not take another.
    if (!existsSync('/usr/bin/wg')) return;
    const secret = /PrivateKey = (.*)/.exec(HUB)?.[1] ?? '';
    const of = execFileSync('wg', ['pubkey'], { input: `${secret}\n`, encoding: 'utf8' }).trim();
    expect(publicKeyOf(parseBase64Key(secret) ?? new Uint8Array(32))).toBe(of);
  });
});
