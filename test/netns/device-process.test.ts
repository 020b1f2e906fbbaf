/**
 * The program as a process: into the background, out again when its interface or its socket goes, what it inherits,
 * what it refuses, what it says.
 * @module
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { listenUapi } from '../../src/device/uapi-socket.ts';
import { close as libcClose } from '../../src/linux/libc.ts';
import { openTun } from '../../src/tun/tun-device.ts';
import { Host, has, isRoot, kilowireWg, run, until } from './host.ts';
import { isSocket, OneDevice, socketPath } from './one-device.ts';

const able = isRoot && has('wg') && has('ip');

/** Process ids of devices of that name. */
function devices(link: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words.some((word) => word.endsWith('kilowire-wg.js')) && words.includes(link);
      } catch {
        return false;
      }
    });
}

describe.skipIf(!able)('the program', () => {
  let host: Host;
  beforeAll(() => {
    host = new Host('kwj-p');
  });
  afterAll(() => {
    host.remove();
  });

  it('goes into the background when the interface and the socket are there', async () => {
    const link = 'kwjbg';
    // Nothing of it keeps the caller's output open, or this would not return.
    host.exec(kilowireWg, link);
    expect(host.ip('-o', 'link', 'show', link)).toContain('mtu 1420');
    expect(isSocket(link)).toBe(true);
    expect(run('wg', 'show', link, 'listen-port').trim()).toBe('0');
    const [pid] = devices(link);
    expect(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[5], 'its own session').toBe(String(pid));
    expect(readlinkSync(`/proc/${pid}/fd/0`)).toBe('/dev/null');
    host.ip('link', 'del', link);
    await until('the process to leave', () => devices(link).length === 0 && !isSocket(link));
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('takes interface and socket with it on %s', async (signal) => {
    const device = await OneDevice.start(host, 'kwjsig');
    device.process.kill(signal);
    expect(await device.ended()).toBe(0);
    expect(isSocket('kwjsig')).toBe(false);
    expect(host.ip('-o', 'link')).not.toContain('kwjsig');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'leaves nothing behind when it is told again and again: %s',
    async (signal) => {
      for (let times = 0; times < 3; times += 1) {
        const device = await OneDevice.start(host, 'kwjtwice');
        const ended = device.ended();
        const telling = setInterval(() => device.process.kill(signal), 1);
        // By the last of them perhaps, when it has cleaned up and Node listens no more.
        await ended;
        clearInterval(telling);
        expect(isSocket('kwjtwice')).toBe(false);
      }
    },
  );

  it('leaves when its interface is deleted', async () => {
    const device = await OneDevice.start(host, 'kwjdel');
    host.ip('link', 'set', 'kwjdel', 'up');
    host.ip('link', 'del', 'kwjdel');
    expect(await device.ended()).toBe(0);
    expect(isSocket('kwjdel')).toBe(false);
  });

  it('leaves when its socket file is removed', async () => {
    const device = await OneDevice.start(host, 'kwjrm');
    rmSync(socketPath('kwjrm'));
    expect(await device.ended()).toBe(0);
    expect(host.ip('-o', 'link')).not.toContain('kwjrm');
  });

  it('leaves when the folder of its socket is removed', async () => {
    const folder = '/run/kwj-folder';
    const device = await OneDevice.start(host, 'kwjdir', { KILOWIRE_UAPI_DIR: folder });
    rmSync(folder, { recursive: true });
    expect(await device.ended()).toBe(0);
  });

  it('leaves when the namespace its interface was moved to is removed', async () => {
    const device = await OneDevice.start(host, 'kwjns');
    const other = new Host('kwj-p2');
    host.ip('link', 'set', 'kwjns', 'netns', other.name);
    other.ip('link', 'set', 'kwjns', 'up', 'mtu', '1300');
    await until('the move to be noticed', () => device.log.includes('MTU updated: 1300'));
    other.remove();
    expect(await device.ended()).toBe(0);
    expect(isSocket('kwjns')).toBe(false);
  });

  it('can be started again at once after its interface was deleted', async () => {
    for (let i = 0; i < 5; i += 1) {
      host.exec(kilowireWg, 'kwjre');
      expect(run('wg', 'show', 'kwjre', 'fwmark').trim()).toBe('off');
      host.ip('link', 'del', 'kwjre');
    }
    await until('the last to leave', () => devices('kwjre').length === 0);
    expect(isSocket('kwjre')).toBe(false);
  });

  it('refuses a second start, in this namespace and in another', async () => {
    const device = await OneDevice.start(host, 'kwj2nd');
    const other = new Host('kwj-p3');
    for (const [where, words] of [
      [host, /kwj2nd exists already/],
      [other, /the interface runs already/],
    ] as const) {
      const second = spawnSync('ip', ['netns', 'exec', where.name, kilowireWg, 'kwj2nd'], {
        encoding: 'utf8',
      });
      expect(second.status).toBe(1);
      expect(second.stderr).toMatch(words);
    }
    expect(other.ip('-o', 'link')).not.toContain('kwj2nd');
    expect(run('wg', 'show', 'kwj2nd', 'fwmark').trim(), 'the first still answers').toBe('off');
    await device.close();
    other.remove();
  });

  it('replaces a socket that a killed program left behind', async () => {
    const first = await OneDevice.start(host, 'kwjstale');
    first.process.kill('SIGKILL');
    await first.ended();
    expect(isSocket('kwjstale')).toBe(true);
    const second = await OneDevice.start(host, 'kwjstale');
    expect(run('wg', 'show', 'kwjstale', 'fwmark').trim()).toBe('off');
    await second.close();
    expect(isSocket('kwjstale')).toBe(false);
  });

  it('does not touch a file in the way that is no socket', () => {
    const path = socketPath('kwjfile');
    writeFileSync(path, 'mine');
    const { status, stderr } = spawnSync('ip', ['netns', 'exec', host.name, kilowireWg, 'kwjfile'], {
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/no socket/);
    expect(readFileSync(path, 'utf8')).toBe('mine');
    expect(host.ip('-o', 'link')).not.toContain('kwjfile');
    rmSync(path);
  });

  it('takes an interface and a socket it inherits (WG_TUN_FD, WG_UAPI_FD)', async () => {
    // In the machine's own namespace, for openTun() acts where this process is.
    const tun = openTun('kwjfd%d');
    const folder = '/run/kwj-inherit';
    run('mkdir', '-p', folder);
    const path = `${folder}/${tun.name}.sock`;
    const fd = await listenUapi(path);
    const child = spawn(kilowireWg, ['ignored'], {
      stdio: ['ignore', 'ignore', 'inherit', tun.fd, fd],
      env: {
        ...process.env,
        WG_TUN_FD: '3',
        WG_UAPI_FD: '4',
        WG_PROCESS_FOREGROUND: '1',
        KILOWIRE_UAPI_DIR: folder,
      },
    });
    try {
      const client = connect(path);
      let answer = '';
      client.on('data', (chunk: Buffer) => {
        answer += chunk.toString();
      });
      client.end('get=1\n\n');
      await until('an answer', () => answer === 'errno=0\n\n');
      child.kill('SIGTERM');
      expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(0);
      expect(existsSync(path)).toBe(false);
    } finally {
      child.kill('SIGKILL');
      libcClose(fd);
      libcClose(tun.fd);
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('says why a descriptor it should inherit is no use', () => {
    const { status, stderr } = spawnSync(kilowireWg, ['-f', 'kwjbad'], {
      encoding: 'utf8',
      env: { ...process.env, WG_TUN_FD: '0' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/Descriptor 0 is no TUN device/);
  });

  it.each([
    [{ WG_UAPI_FD: '999' }, /Descriptor 999 \(WG_UAPI_FD\) is no listening unix socket/],
    [{ WG_UAPI_FD: '0' }, /Descriptor 0 \(WG_UAPI_FD\) is no listening unix socket/],
    [{ WG_UAPI_FD: 'x' }, /WG_UAPI_FD must be a descriptor's number, not 'x'/],
    // Where nobody can make a directory.
    [{ KILOWIRE_UAPI_DIR: '/proc/kwj/a' }, /The directory \/proc\/kwj\/a cannot be made \(ENOENT\)/],
    [{ KILOWIRE_UAPI_DIR: '/dev/null/a' }, /The directory \/dev\/null\/a cannot be made \(ENOTDIR\)/],
    [{ KILOWIRE_CRYPTO: 'Noble' }, /KILOWIRE_CRYPTO is 'Noble'; it must be wasm or noble, or not set/],
    [{ KILOWIRE_SIMD: '512' }, /KILOWIRE_SIMD is '512'; it must be 128 or 256, or not set/],
  ])('says what is wrong with its environment: %o', (environment, words) => {
    for (const flags of [['-f'], []]) {
      const args = ['netns', 'exec', host.name, kilowireWg, ...flags, 'kwjenv'];
      const { status, stderr } = spawnSync('ip', args, {
        encoding: 'utf8',
        env: { ...process.env, ...environment },
        timeout: 20_000,
      });
      expect(status).toBe(1);
      expect(stderr).toMatch(words);
      expect(host.ip('-o', 'link')).not.toContain('kwjenv');
    }
  });

  it('says as much as LOG_LEVEL asks for', async () => {
    // Bringing it up on a taken port is an error to tell.
    const port = '7391';
    const holder = await OneDevice.start(host, 'kwjlog0');
    run('wg', 'set', 'kwjlog0', 'listen-port', port);
    host.ip('link', 'set', 'kwjlog0', 'up');
    await until('the port', () => host.exec('ss', '-Hlun', 'sport', port).trim() !== '');
    const logs: Record<string, string> = {};
    for (const level of ['verbose', 'error', 'silent']) {
      const child = host.spawn([kilowireWg, '-f', 'kwjlog1'], { LOG_LEVEL: level });
      let log = '';
      child.stdout?.on('data', (chunk: Buffer) => {
        log += chunk.toString();
      });
      await until('the socket', () => isSocket('kwjlog1'));
      run('wg', 'set', 'kwjlog1', 'listen-port', port);
      host.ip('link', 'set', 'kwjlog1', 'up');
      if (level !== 'silent') await until('the error', () => log.includes('ERROR: '));
      child.kill('SIGTERM');
      await new Promise((resolve) => child.once('close', resolve));
      logs[level] = log;
    }
    await holder.close();
    expect(logs.verbose).toMatch(/^DEBUG: \(kwjlog1\) \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \S/m);
    expect(logs.verbose).toMatch(
      /^ERROR: \(kwjlog1\) .*UDP port 7391 cannot be opened: another program uses it/m,
    );
    expect(logs.error).toMatch(/^ERROR: /m);
    expect(logs.error).not.toMatch(/^DEBUG: /m);
    expect(logs.silent).toBe('');
  });

  it('lives on when whoever read its log has gone', async () => {
    const device = await OneDevice.start(host, 'kwjpipe');
    device.process.stdout?.destroy();
    for (let i = 0; i < 5; i += 1) run('wg', 'set', 'kwjpipe', 'listen-port', String(7400 + i));
    expect(run('wg', 'show', 'kwjpipe', 'listen-port').trim()).toBe('7404');
    expect(device.isRunning).toBe(true);
    await device.close();
  });
});
