/**
 * Debian's wg-quick with our program as its userspace implementation: a default route through the tunnel with all that
 * belongs to it, and nothing left of it afterwards.
 * @module
 */
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Folder, Host, has, isRoot, join2, root, run, until } from './host.ts';
import { isSocket, OneDevice, publicKeyOf } from './one-device.ts';

// wg-quick asks for a userspace implementation only where the kernel has none.
const able =
  isRoot && has('wg-quick') && has('ping') && has('sysctl') && !existsSync('/sys/module/wireguard');
const link = 'kwjquick';

describe.skipIf(!able)('wg-quick', () => {
  let client: Host;
  let server: Host;
  let device: OneDevice;
  const folder = new Folder();
  const keys = able ? [run('wg', 'genkey').trim(), run('wg', 'genkey').trim()] : ['', ''];
  const [clientKey = '', serverKey = ''] = keys;
  const conf = join(folder.path, `${link}.conf`);
  /** wg-quick, with a resolvconf that writes down what it is told. */
  const wgQuick = (verb: string): string =>
    client.exec(
      'env',
      `PATH=${folder.path}:${join(root, 'bin')}:${process.env.PATH}`,
      'WG_QUICK_USERSPACE_IMPLEMENTATION=kilowire-wg',
      'wg-quick',
      verb,
      conf,
    );

  beforeAll(async () => {
    client = new Host('kwj-q1');
    server = new Host('kwj-q2');
    join2(client, server, 'underlay', '192.0.2', '2001:db8:1');
    client.ip('route', 'add', 'default', 'via', '192.0.2.2');
    // Somewhere that only the tunnel's far end can reach.
    server.ip('addr', 'add', '198.51.100.1/32', 'dev', 'lo');
    server.ip('addr', 'add', '2001:db8:99::1/128', 'dev', 'lo');
    device = await OneDevice.start(server, 'kwjqs');
    const peer = ['peer', publicKeyOf(clientKey), 'allowed-ips', '10.9.0.1/32,fd09::1/128'];
    run(
      'wg',
      'set',
      'kwjqs',
      'private-key',
      folder.write('server', serverKey),
      'listen-port',
      '5001',
      ...peer,
    );
    server.ip('addr', 'add', '10.9.0.2/24', 'dev', 'kwjqs');
    server.ip('addr', 'add', 'fd09::2/64', 'dev', 'kwjqs', 'nodad');
    server.ip('link', 'set', 'kwjqs', 'up');
    const dns = join(folder.path, 'dns');
    const script = `#!/bin/sh\ncase $1 in\n-a) cat >${dns} ;;\n-l) cat ${dns} ;;\n-d) rm ${dns} ;;\nesac\n`;
    const stub = folder.write('resolvconf', script);
    chmodSync(stub, 0o755);
    folder.write(
      `${link}.conf`,
      `[Interface]
PrivateKey = ${clientKey}
Address = 10.9.0.1/24, fd09::1/64
DNS = 10.9.0.53, example.org
PostUp = echo up %i > ${folder.path}/hooks
PreDown = echo down %i >> ${folder.path}/hooks
SaveConfig = true

[Peer]
PublicKey = ${publicKeyOf(serverKey)}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 192.0.2.2:5001
PersistentKeepalive = 25
`,
    );
  });
  afterAll(async () => {
    await device?.close();
    client.remove();
    server.remove();
    folder.remove();
  });

  it('strips its own words from a configuration', () => {
    const stripped = wgQuick('strip');
    expect(stripped).toContain(`PrivateKey = ${clientKey}`);
    expect(stripped).not.toMatch(/Address|DNS|PostUp|SaveConfig/);
  });

  it('brings up a default route through the tunnel', () => {
    wgQuick('up');
    // 1500 of the way to the endpoint, less 80.
    expect(client.ip('-o', 'link', 'show', link)).toMatch(/,UP,.* mtu 1420 /);
    const mark = run('wg', 'show', link, 'fwmark').trim();
    expect(Number(mark)).toBe(51820);
    expect(client.ip('rule', 'show')).toMatch(/not from all fwmark 0xca6c lookup 51820/);
    expect(client.ip('route', 'show', 'table', '51820')).toContain(`default dev ${link}`);
    expect(client.pings('198.51.100.1'), 'IPv4 beyond the far end').toBe(true);
    expect(client.pings('2001:db8:99::1'), 'IPv6 beyond the far end').toBe(true);
    const dns = readFileSync(join(folder.path, 'dns'), 'utf8');
    expect(dns).toContain('nameserver 10.9.0.53');
    expect(dns).toContain('search example.org');
    expect(readFileSync(join(folder.path, 'hooks'), 'utf8')).toBe(`up ${link}\n`);
  });

  it('saves what was changed at run time', () => {
    run('wg', 'set', link, 'peer', publicKeyOf(serverKey), 'persistent-keepalive', '17');
    wgQuick('save');
    const saved = readFileSync(conf, 'utf8');
    expect(saved).toContain('PersistentKeepalive = 17');
    expect(saved).toContain(`PrivateKey = ${clientKey}`);
    expect(saved).toContain('Address = 10.9.0.1/24');
  });

  it('takes it all down, and up again at once', async () => {
    for (let i = 0; i < 3; i += 1) {
      wgQuick('down');
      expect(client.ip('-o', 'link')).not.toContain(link);
      expect(client.ip('rule', 'show')).not.toContain('51820');
      wgQuick('up');
      expect(client.pings('198.51.100.1', 1)).toBe(true);
    }
    wgQuick('down');
    await until('the program to leave', () => !isSocket(link));
    expect(existsSync(join(folder.path, 'dns')), 'the resolver has been told').toBe(false);
    expect(readFileSync(join(folder.path, 'hooks'), 'utf8')).toContain(`down ${link}\n`);
  });
});
