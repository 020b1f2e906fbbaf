/**
 * Take-overs of devices of every kind: in the background, with inherited descriptors, marked, on another port, over IPv6,
 * from another network namespace, two at a time, with clients in the middle of a question.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listenUapi } from '../../src/device/uapi-socket.ts';
import { close as libcClose } from '../../src/linux/libc.ts';
import { openTun } from '../../src/tun/tun-device.ts';
import { Host, has, isRoot, kilowireWg, root, run, until } from './host.ts';
import { isSocket, socketPath } from './one-device.ts';
import { beginTakeover, Program, TakeoverWorld } from './takeover-world.ts';

const able = isRoot && has('wg');
const kilowire = join(root, 'bin/kilowire');

/** Processes with these words on their command line. */
const running = (...words: string[]): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return (
          words.every((word) => line.includes(word)) && line.some((word) => word.includes('/dist/kilowire'))
        );
      } catch {
        return false;
      }
    })
    .map(Number);

describe.skipIf(!able)('a device taken over', () => {
  let world: TakeoverWorld;
  beforeAll(async () => {
    world = await TakeoverWorld.start('kwtom', 6, 25);
  });
  afterAll(async () => {
    await world?.close();
  });

  it('keeps its mark, a port that was changed, and a peer over IPv6', async () => {
    const { a, b } = world;
    a.set('fwmark', '0x1234', 'listen-port', '12345');
    await until('pings', () => a.reaches(b), 20_000);
    const handshake = a.show('latest-handshakes', b);
    await world.takeOver(a);
    await world.takeOver(b);
    expect(a.reaches(b, 6)).toBe(true);
    expect(run('wg', 'show', a.link, 'fwmark').trim()).toBe('0x1234');
    expect(run('wg', 'show', a.link, 'listen-port').trim()).toBe('12345');
    expect(a.host.exec('ss', '-Huane', 'sport', '12345')).toContain('fwmark:0x1234');
    expect(a.show('endpoints', b)).toBe(`[fd77:1::2]:${b.port}`);
    expect(a.show('persistent-keepalive', b)).toBe('25');
    expect(a.show('allowed-ips', b)).toBe(`${b.overlay}/32 ${b.overlay6}/128`);
    expect(run('wg', 'show', a.link, 'private-key').trim()).toBe(a.key);
    expect(a.show('latest-handshakes', b)).toBe(handshake);
  });

  it('changes its port, mark and state as before, also when its new process began in another namespace', async () => {
    const { a, b } = world;
    const child = beginTakeover(world.hosts[1], a.link);
    await until('the take-over', () => child.output.includes('Device taken over'), 60_000);
    world.runners.get(a)?.push(child);
    a.set('listen-port', '12346', 'fwmark', '0');
    expect(a.host.exec('ss', '-Hlun', 'sport', '12346')).toContain('12346');
    await until('the old port to be free', () => a.host.exec('ss', '-Hlun', 'sport', '12345') === '');
    await until('pings', () => a.reaches(b), 20_000);
    a.host.ip('link', 'set', a.link, 'down');
    await until('the sockets to close', () => a.host.exec('ss', '-Hlun', 'sport', '12346') === '');
    a.host.ip('link', 'set', a.link, 'up');
    a.host.ip('addr', 'replace', `${a.overlay6}/64`, 'dev', a.link, 'nodad');
    await until('pings', () => a.reaches(b), 20_000);
  });

  it('by two processes at once belongs to one of them in the end', async () => {
    const { a, b } = world;
    const former = world.runner(a);
    const two = [beginTakeover(a.host, a.link), beginTakeover(a.host, a.link)];
    const took = (child: Program): boolean => child.output.includes('Device taken over');
    await until('both', () => two.every((child) => took(child) || !child.isRunning), 60_000);
    expect(await former.ended).toBe(0);
    await until('one to leave', () => two.filter(({ isRunning }) => isRunning).length === 1, 20_000);
    const last = two.find(({ isRunning }) => isRunning) as Program;
    const other = two.find((child) => child !== last) as Program;
    expect(await other.ended).toBe(0);
    world.runners.get(a)?.push(last);
    expect(a.reaches(b)).toBe(true);
  });

  it('answers the clients of the one before: those that wait, and those that have not asked yet', async () => {
    const { a } = world;
    const clients = ['', 'get=1\n'].map((beginning) => {
      const socket = connect(socketPath(a.link));
      let answer = '';
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString();
      });
      socket.write(beginning || 'get=1\n\n');
      return { socket, answer: () => answer };
    });
    const [idle, busy] = clients;
    await until('the first answer', () => idle?.answer().includes('errno=0\n\n') === true);
    const taking = world.takeOver(a);
    // Its question ends within the time it is waited for.
    busy?.socket.write('\n');
    await taking;
    await until('the late answer', () => busy?.answer().includes('errno=0\n\n') === true);
    const length = idle?.answer().length ?? 0;
    idle?.socket.write('get=1\n\n');
    await until('an answer of the new one', () => (idle?.answer().length ?? 0) > length);
    for (const { socket } of clients) socket.destroy();
  });

  it('has used no nonce twice in all this', async () => {
    expect((await world.relayReport()).repeated).toEqual([]);
  });
});

describe.skipIf(!able)('a take-over in the background', () => {
  let host: Host;
  beforeAll(() => {
    host = new Host('kwto-bg');
  });
  afterAll(() => {
    host?.remove();
  });

  it.each([
    ['kilowire-wg', [kilowireWg, '--takeover']],
    ['kilowire device', [kilowire, 'device', '--takeover']],
  ] as const)('returns when the new process runs: %s', async (_, words) => {
    const link = 'kwtobg';
    host.exec(kilowireWg, link);
    run('wg', 'set', link, 'listen-port', '7654');
    const [former] = running(link);
    host.exec(...words, link);
    expect(run('wg', 'show', link, 'listen-port').trim()).toBe('7654');
    await until('the former to leave', () => !running(link).includes(former as number));
    expect(running(link)).toHaveLength(1);
    host.ip('link', 'del', link);
    await until('the last to leave', () => running(link).length === 0 && !isSocket(link));
  });

  it('tells why it failed, with a code', () => {
    const { status, stderr } = spawnSync(kilowire, ['device', 'kwtonone', '--takeover'], {
      encoding: 'utf8',
    });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/kwtonone does not run here, so there is nothing to take over/);
  });

  it('takes over what had its descriptors from somebody else (WG_TUN_FD, WG_UAPI_FD)', async () => {
    const tun = openTun('kwtofd%d');
    const folder = '/run/kwto-inherit';
    run('mkdir', '-p', folder);
    const fd = await listenUapi(`${folder}/${tun.name}.sock`);
    const environment = { ...process.env, KILOWIRE_UAPI_DIR: folder, LOG_LEVEL: 'verbose' };
    const first = new Program(
      spawn(kilowireWg, ['ignored'], {
        stdio: ['ignore', 'pipe', 'pipe', tun.fd, fd],
        env: { ...environment, WG_TUN_FD: '3', WG_UAPI_FD: '4', WG_PROCESS_FOREGROUND: '1' },
      }),
    );
    libcClose(fd);
    libcClose(tun.fd);
    let second: Program | undefined;
    try {
      await until('the first', () => first.output.includes('Data plane ready'), 20_000);
      second = new Program(
        spawn(kilowireWg, ['-f', '--takeover', tun.name], {
          stdio: ['ignore', 'pipe', 'pipe'],
          env: environment,
        }),
      );
      const { output } = second;
      await until(
        `the second ${output}`,
        () => second?.output.includes('Device taken over') === true,
        20_000,
      );
      expect(await first.ended).toBe(0);
      expect(run('ip', '-o', 'link', 'show', tun.name)).toContain(tun.name);
      second.process.kill('SIGTERM');
      expect(await second.ended).toBe(0);
      expect(readdirSync(folder)).toEqual([]);
    } finally {
      first.process.kill('SIGKILL');
      second?.process.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
