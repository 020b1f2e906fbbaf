/**
 * Debian's `wg` against our device, and the control socket spoken to by hand: what is set is what is read, errors have
 * the numbers of wireguard-go, and clients do not disturb each other.
 * @module
 */
import { execFile } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Folder, Host, has, isRoot, run } from './host.ts';
import { OneDevice, publicKeyOf, socketPath, somePublicKey } from './one-device.ts';

const able = isRoot && has('wg') && has('ip');
const link = 'kwjwg';
const lines = (text: string): string[] => text.trim().split('\n');
const hex = (key: string): string => Buffer.from(key, 'base64').toString('hex');
const rss = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s*(\d+)/m)?.[1] ?? 0) / 1024;

/** Sends a request, closes this half, and returns everything that comes back. */
function ask(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const client = connect(socketPath(link));
    let answer = '';
    client.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    client.on('error', reject);
    client.on('close', () => resolve(answer));
    client.end(text);
  });
}

/** RFC 7748 by another implementation: OpenSSL's. */
function opensslPublicKey(privateKey: Buffer): string {
  const der = Buffer.concat([Buffer.from('302e020100300506032b656e04220420', 'hex'), privateKey]);
  const key = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  return key.export({ format: 'der', type: 'spki' }).subarray(-32).toString('base64');
}

describe.skipIf(!able)('the control socket', () => {
  let host: Host;
  let device: OneDevice;
  const folder = new Folder();
  beforeAll(async () => {
    host = new Host('kwj-w');
    device = await OneDevice.start(host, link, { LOG_LEVEL: 'verbose' });
  });
  afterAll(async () => {
    await device.close();
    host.remove();
    folder.remove();
  });
  const clear = () => ask(`set=1\nprivate_key=${'0'.repeat(64)}\nfwmark=0\nreplace_peers=true\n\n`);

  it('gives back what wg set', async () => {
    await clear();
    const privateKey = run('wg', 'genkey').trim();
    const psk = run('wg', 'genpsk').trim();
    const [a, b] = [somePublicKey(), somePublicKey()];
    run(
      'wg',
      'set',
      link,
      'private-key',
      folder.write('key', privateKey),
      'listen-port',
      '7501',
      'fwmark',
      '0xca6c',
    );
    run(
      'wg',
      'set',
      link,
      'peer',
      a,
      'preshared-key',
      folder.write('psk', psk),
      'endpoint',
      '192.0.2.9:51820',
    );
    run('wg', 'set', link, 'peer', a, 'persistent-keepalive', '25', 'allowed-ips', '10.1.2.3/24,fd01::1/64');
    run('wg', 'set', link, 'peer', b, 'endpoint', '[fe80::1%lo]:9', 'allowed-ips', '0.0.0.0/0,::/0');
    expect(run('wg', 'show', link, 'dump')).toBe(
      `${privateKey}\t${publicKeyOf(privateKey)}\t7501\t0xca6c\n` +
        `${a}\t${psk}\t192.0.2.9:51820\t10.1.2.0/24,fd01::/64\t0\t0\t0\t25\n` +
        `${b}\t(none)\t[fe80::1%lo]:9\t0.0.0.0/0,::/0\t0\t0\t0\toff\n`,
    );
    expect(run('wg', 'show', link)).toMatch(
      /interface: kwjwg\n.*public key: .*\n.*\n.*listening port: 7501\n.*fwmark: 0xca6c/,
    );
  });

  it('goes the way of setconf, showconf, addconf and syncconf', async () => {
    await clear();
    const [a, b, c] = [somePublicKey(), somePublicKey(), somePublicKey()];
    const key = run('wg', 'genkey').trim();
    const peer = (name: string, ips: string) => `[Peer]\nPublicKey = ${name}\nAllowedIPs = ${ips}\n`;
    const head = `[Interface]\nPrivateKey = ${key}\nListenPort = 7502\n`;
    run(
      'wg',
      'setconf',
      link,
      folder.write('set', `${head}${peer(a, '10.0.1.0/24')}${peer(b, '10.0.2.0/24')}`),
    );
    expect(lines(run('wg', 'show', link, 'peers'))).toEqual([a, b]);
    // What is shown can be set again, and says the same.
    const shown = run('wg', 'showconf', link);
    run('wg', 'setconf', link, folder.write('shown', shown));
    expect(run('wg', 'showconf', link)).toBe(shown);
    run('wg', 'addconf', link, folder.write('add', peer(c, '10.0.2.0/24')));
    expect(lines(run('wg', 'show', link, 'allowed-ips'))).toEqual([
      `${a}\t10.0.1.0/24`,
      `${b}\t(none)`,
      `${c}\t10.0.2.0/24`,
    ]);
    run('wg', 'syncconf', link, folder.write('sync', `${head}${peer(c, '10.0.3.0/24')}`));
    expect(lines(run('wg', 'show', link, 'allowed-ips'))).toEqual([`${c}\t10.0.3.0/24`]);
    // setconf without [Interface] leaves no key; showconf does without one.
    run('wg', 'setconf', link, folder.write('none', peer(a, '10.0.1.0/24')));
    expect(run('wg', 'show', link, 'private-key').trim()).toBe('(none)');
    expect(run('wg', 'showconf', link)).not.toContain('PrivateKey');
  });

  it('takes keys and presharing away with /dev/null', async () => {
    await clear();
    const a = somePublicKey();
    const psk = folder.write('psk2', run('wg', 'genpsk'));
    run(
      'wg',
      'set',
      link,
      'private-key',
      folder.write('key2', run('wg', 'genkey')),
      'peer',
      a,
      'preshared-key',
      psk,
    );
    expect(run('wg', 'show', link, 'preshared-keys')).not.toContain('(none)');
    run('wg', 'set', link, 'private-key', '/dev/null', 'peer', a, 'preshared-key', '/dev/null');
    expect(run('wg', 'show', link, 'private-key').trim()).toBe('(none)');
    expect(run('wg', 'show', link, 'preshared-keys').trim()).toBe(`${a}\t(none)`);
  });

  it('clamps a private key', async () => {
    await clear();
    const raw = Buffer.alloc(32, 0xff);
    run('wg', 'set', link, 'private-key', folder.write('raw', raw.toString('base64')));
    const clamped = Buffer.from(raw);
    clamped[0] = 0xf8;
    clamped[31] = 0x7f;
    expect(run('wg', 'show', link, 'private-key').trim()).toBe(clamped.toString('base64'));
    expect(run('wg', 'show', link, 'public-key').trim()).toBe(opensslPublicKey(clamped));
  });

  it('has no peer that is itself, whichever came first', async () => {
    await clear();
    const key = run('wg', 'genkey').trim();
    const own = publicKeyOf(key);
    run('wg', 'set', link, 'private-key', folder.write('own', key), 'peer', own, 'allowed-ips', '10.0.0.0/8');
    expect(run('wg', 'show', link, 'peers')).toBe('');
    run('wg', 'set', link, 'private-key', '/dev/null', 'peer', own, 'allowed-ips', '10.0.0.0/8');
    expect(run('wg', 'show', link, 'peers').trim()).toBe(own);
    run('wg', 'set', link, 'private-key', folder.write('own', key));
    expect(run('wg', 'show', link, 'peers')).toBe('');
  });

  it('moves, takes and lists allowed IPs as the kernel does', async () => {
    await clear();
    const [a, b] = [somePublicKey(), somePublicKey()];
    const many = Array.from({ length: 197 }, (_, i) => `abcd:${(i + 1).toString(16)}::/32`);
    run('wg', 'set', link, 'peer', a, 'allowed-ips', many.join());
    expect(run('wg', 'show', link, 'allowed-ips').trim().split('\t')[1]?.split(' ')).toHaveLength(197);
    run('wg', 'set', link, 'peer', b, 'allowed-ips', many.slice(0, 6).join());
    const after = Object.fromEntries(
      lines(run('wg', 'show', link, 'allowed-ips')).map((line) => line.split('\t')),
    ) as Record<string, string>;
    expect(after[a]?.split(' ')).toHaveLength(191);
    expect(after[b]?.split(' ')).toEqual(many.slice(0, 6));
    // A range that is given to two peers of one request is the second's.
    run('wg', 'set', link, 'peer', a, 'allowed-ips', '10.0.0.0/8', 'peer', b, 'allowed-ips', '10.0.0.0/8');
    expect(lines(run('wg', 'show', link, 'allowed-ips'))).toEqual([`${a}\t(none)`, `${b}\t10.0.0.0/8`]);
    // Only the owner can have it taken away.
    const minus = (key: string) => ask(`set=1\npublic_key=${hex(key)}\nallowed_ip=-10.0.0.0/8\n\n`);
    expect(await minus(a)).toBe('errno=0\n\n');
    expect(run('wg', 'show', link, 'allowed-ips')).toContain(`${b}\t10.0.0.0/8`);
    await minus(b);
    expect(run('wg', 'show', link, 'allowed-ips')).not.toContain('10.0.0.0/8');
  });

  const key = 'ab'.repeat(32);
  it.each([
    ['an unknown device key', 'colour=blue', 22],
    ['an unknown peer key', `public_key=${key}\ncolour=blue`, 22],
    ['a line without =', 'private_key', 71],
    ['a key of the wrong length', 'private_key=abcd', 22],
    ['a key that is not hexadecimal', `private_key=${'zz'.repeat(32)}`, 22],
    ['a port beyond 65535', 'listen_port=65536', 22],
    ['a port that is a word', 'listen_port=http', 22],
    ['a mark beyond 32 bits', 'fwmark=4294967296', 22],
    ['replace_peers that is not true', 'replace_peers=yes', 22],
    ['an endpoint with a name', `public_key=${key}\nendpoint=example.org:1`, 22],
    ['an endpoint without a port', `public_key=${key}\nendpoint=192.0.2.1`, 22],
    ['a range with too many bits', `public_key=${key}\nallowed_ip=10.0.0.0/33`, 22],
    ['a keepalive beyond 65535', `public_key=${key}\npersistent_keepalive_interval=65536`, 22],
    ['another protocol version', `public_key=${key}\nprotocol_version=2`, 22],
    ['a peer key outside of a peer', 'allowed_ip=10.0.0.0/8', 22],
  ])('answers %s with its number', async (_, body, errno) => {
    expect(await ask(`set=1\n${body}\n\n`)).toBe(`errno=-${errno}\n\n`);
  });

  it('closes on anything that is no operation, and keeps quiet about probes', async () => {
    expect(await ask('hello\n\n')).toBe('');
    expect(await ask('')).toBe('');
    expect(await ask('get=1\nx\n\n')).toBe('errno=22\n\n');
    expect(await ask(`set=1\n${'x'.repeat(70_000)}`)).toBe('errno=-5\n\n');
  });

  it('answers several operations of one connection in order', async () => {
    await clear();
    const answer = await ask(
      'set=1\nlisten_port=7503\n\nset=1\nlisten_port=x\n\nset=1\nlisten_port=7504\n\nget=1\n\n',
    );
    expect(answer).toBe('errno=0\n\nerrno=-22\n\nerrno=0\n\nlisten_port=7504\nerrno=0\n\n');
  });

  it('keeps its port when the new one is taken', async () => {
    await clear();
    const other = await OneDevice.start(host, 'kwjwg2');
    for (const [name, port] of [
      ['kwjwg2', 7510],
      [link, 7511],
    ] as const) {
      run('wg', 'set', name, 'listen-port', String(port));
      host.ip('link', 'set', name, 'up');
    }
    expect(await ask('set=1\nlisten_port=7510\n\n')).toBe('errno=-98\n\n');
    expect(run('wg', 'show', link, 'listen-port').trim()).toBe('7511');
    expect(host.exec('ss', '-Hlun', 'sport', '7511').trim().split('\n')).toHaveLength(2);
    // Down with a taken port, up again as soon as it has a free one.
    host.ip('link', 'set', link, 'down');
    run('wg', 'set', link, 'listen-port', '7510');
    host.ip('link', 'set', link, 'up');
    await expect.poll(() => device.log, { timeout: 5000 }).toContain('UDP port 7510 cannot be opened');
    expect(await ask('set=1\nlisten_port=7510\n\n')).toBe('errno=-98\n\n');
    expect(await ask('set=1\nlisten_port=0\n\n')).toBe('errno=0\n\n');
    const port = run('wg', 'show', link, 'listen-port').trim();
    expect(Number(port)).toBeGreaterThan(0);
    expect(host.exec('ss', '-Hlun', 'sport', port).trim().split('\n')).toHaveLength(2);
    // Down and up with the taken port once more: when the other has gone, it is ours by itself.
    host.ip('link', 'set', link, 'down');
    run('wg', 'set', link, 'listen-port', '7510');
    host.ip('link', 'set', link, 'up');
    await other.close();
    await expect
      .poll(() => host.exec('ss', '-Hlun', 'sport', '7510').trim().split('\n').length, { timeout: 5000 })
      .toBe(2);
    host.ip('link', 'set', link, 'down');
  });

  it('takes 130,560 ranges in one request of 4 MB, answers others meanwhile, and gives them back', async () => {
    await clear();
    const a = somePublicKey();
    const text = [`[Interface]\nPrivateKey = ${run('wg', 'genkey')}[Peer]\nPublicKey = ${a}`];
    for (let i = 0; i < 65_280; i += 1) {
      const [high, low] = [1 + (i >> 8), i & 255];
      text.push(`AllowedIPs = ${high}.${low}.0.0/16, ${high.toString(16)}:${low.toString(16)}::/128`);
    }
    const setting = promisify(execFile)('wg', ['setconf', link, folder.write('huge', text.join('\n'))]);
    const isLast = setting.then(() => true);
    let answers = 0;
    while (!(await Promise.race([isLast, ask('get=1\n\n').then(() => false)]))) answers += 1;
    expect(answers).toBeGreaterThan(0);
    const { stdout } = await promisify(execFile)('wg', ['show', link, 'allowed-ips'], {
      maxBuffer: 16 << 20,
    });
    expect(stdout.trim().split(/\s/)).toHaveLength(1 + 2 * 65_280);
  });

  it('keeps the operations of many clients apart, though some stop in the middle', async () => {
    await clear();
    const keys = Array.from({ length: 24 }, () => hex(somePublicKey()));
    const section = (i: number) => {
      const ranges = Array.from({ length: 40 }, (_, j) => `allowed_ip=10.${i}.${j}.0/24\n`);
      return `set=1\npublic_key=${keys[i]}\nreplace_allowed_ips=true\n${ranges.join('')}\n`;
    };
    // Half-open: a peer is named, and then nothing more for now.
    const halves = keys.map(() =>
      connect(socketPath(link))
        .setNoDelay()
        .on('error', () => undefined),
    );
    halves.forEach((half, i) => {
      half.write(section(i).slice(0, 300));
    });
    expect(await Promise.all(keys.map((_, i) => ask(section(i))))).toEqual(keys.map(() => 'errno=0\n\n'));
    halves.forEach((half, i) => {
      half.write(section(i).slice(300, 600));
    });
    await ask('get=1\n\n');
    halves.forEach((half, i) => {
      half.end(section(i).slice(600));
    });
    await Promise.all(halves.map((half) => new Promise((resolve) => half.resume().once('close', resolve))));
    const shown = lines(run('wg', 'show', link, 'allowed-ips')).map((line) => line.split('\t'));
    expect(shown).toHaveLength(24);
    for (const [name, ranges] of shown) {
      const i = keys.indexOf(hex(name ?? ''));
      expect(ranges?.split(' ').sort()).toEqual(
        Array.from({ length: 40 }, (_, j) => `10.${i}.${j}.0/24`).sort(),
      );
    }
  });

  it('does not gather answers for a client that does not read them, nor lines that do not end', async () => {
    await clear();
    const before = rss(device.process.pid ?? 0);
    const deaf = connect(socketPath(link));
    deaf.on('error', () => undefined).pause();
    deaf.write('get=1\n\n'.repeat(500_000));
    const idle = Array.from({ length: 500 }, () => {
      const client = connect(socketPath(link)).on('error', () => undefined);
      client.write(`set=1\nprivate_key=${'a'.repeat(1000)}`);
      return client;
    });
    for (let i = 0; i < 20; i += 1) expect(await ask('get=1\n\n')).toContain('errno=0\n\n');
    expect(rss(device.process.pid ?? 0)).toBeLessThan(before + 24);
    for (const client of [deaf, ...idle]) client.destroy();
    expect(await ask('get=1\n\n')).toContain('errno=0\n\n');
  });

  it('goes on after its descriptors were all used up by clients', async () => {
    const few = ['prlimit', '--nofile=64:64'];
    const small = await OneDevice.start(host, 'kwjfew', {}, few);
    try {
      const clients = Array.from({ length: 100 }, () =>
        connect(socketPath('kwjfew')).on('error', () => undefined),
      );
      await new Promise((resolve) => setTimeout(resolve, 500));
      host.ip('link', 'set', 'kwjfew', 'up');
      for (const client of clients) client.destroy();
      await expect
        .poll(() => small.isRunning && run('wg', 'show', 'kwjfew', 'fwmark').trim(), { timeout: 5000 })
        .toBe('off');
      // What it could not open then, it opens by itself.
      run('wg', 'set', 'kwjfew', 'listen-port', '7520');
      await expect
        .poll(() => host.exec('ss', '-Hlun', 'sport', '7520').trim().split('\n').length, { timeout: 5000 })
        .toBe(2);
    } finally {
      await small.close();
    }
  });
});
