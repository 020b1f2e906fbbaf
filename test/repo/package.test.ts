/**
 * The package as people get it: what is in it, how large it is, and that it works where it was installed.
 * @module
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pack } from '../../scripts/pack.ts';
import { root } from './source-tree.ts';

const run = (program: string, args: readonly string[], cwd: string): string =>
  execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Nodes to try: the pinned one and, where it is another, the machine's own. */
const nodes = [process.execPath, '/usr/bin/node'].filter((path) => existsSync(path));

describe('the package', () => {
  /** A project of somebody else's, with the package and its dependencies installed. */
  let project: string;
  let files: string[];
  let size: number;
  let manifest: Readonly<Record<string, Record<string, string>>>;

  beforeAll(() => {
    project = mkdtempSync(join(tmpdir(), 'kilowire-package-'));
    const tarball = pack(project);
    size = readFileSync(tarball).length;
    const modules = join(project, 'node_modules');
    mkdirSync(join(modules, '.bin'), { recursive: true });
    run('tar', ['xzf', tarball], modules);
    execFileSync('mv', [join(modules, 'package'), join(modules, 'kilowire')]);
    files = readdirSync(join(modules, 'kilowire'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(modules, 'kilowire').length + 1));
    manifest = JSON.parse(readFileSync(join(modules, 'kilowire/package.json'), 'utf8'));
    for (const name of [
      '@noble',
      'koffi',
      '@koromix',
      `node-linux-${process.arch}`,
      '@types',
      'undici-types',
    ]) {
      symlinkSync(join(root, 'node_modules', name), join(modules, name));
    }
    for (const [name, path] of Object.entries(manifest.bin ?? {})) {
      symlinkSync(join('../kilowire', path), join(modules, '.bin', name));
    }
    writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  });

  afterAll(() => rmSync(project, { recursive: true, force: true }));

  it('holds programs, modules, declarations, what goes onto clusters, and nothing else', () => {
    const expected =
      /^(?:package\.json|LICENSE|README\.md|bin\/[\w-]+|dist\/(?:lib\/)?(?:chunks\/)?[\w-]+\.js|dist\/kernel\.wasm|dist\/lib\/types\/[\w/-]+\.d\.ts|deploy\/[\w/@.-]+\.(?:yaml|json|tpl|service))$/;
    expect(files.filter((name) => !expected.test(name))).toEqual([]);
    for (const name of [
      'bin/kilowire',
      'bin/kilowire-wg',
      'dist/lib/noise.js',
      'dist/lib/device.js',
      'deploy/chart/Chart.yaml',
      'deploy/manifests/kilowire-k3s.yaml',
      'deploy/monitoring/alerts.yaml',
      'deploy/systemd/kilowire-mesh.service',
    ]) {
      expect(files).toContain(name);
    }
  });

  it('is small: less than a mebibyte', () => {
    expect(size).toBeLessThan(1024 * 1024);
  });

  it('runs nothing when it is installed', () => {
    expect(manifest.scripts).toBeUndefined();
  });

  it('imports nothing that is not built in, not its own and not a dependency', () => {
    const imported = files
      .filter((name) => name.endsWith('.js'))
      .flatMap((name) => {
        const text = readFileSync(join(project, 'node_modules/kilowire', name), 'utf8');
        return [...text.matchAll(/^(?:import|export)\b[^'"]*?from ["']([^."'][^"']*)["']/gm)].map(
          (match) => match[1] ?? '',
        );
      });
    const packageOf = (name: string): string => name.split('/', name.startsWith('@') ? 2 : 1).join('/');
    const strange = imported.filter(
      (name) => !isBuiltin(name) && !(packageOf(name) in (manifest.dependencies ?? {})),
    );
    expect([...new Set(strange)]).toEqual([]);
    expect(imported).toContain('koffi');
  });

  it.each(nodes)('shakes hands under %s', (node) => {
    const source = `
      import { randomBytes } from 'node:crypto';
      import { cidr, noblePrimitives, Tunnel } from 'kilowire/noise';
      const primitives = noblePrimitives((length) => randomBytes(length));
      const make = (peer) => new Tunnel({ primitives, output: { datagram: (bytes) => peer.push(bytes.slice()), packet: () => {} } });
      const [forA, forB] = [[], []];
      const [a, b] = [make(forB), make(forA)];
      const [keysA, keysB] = [primitives.generateKeypair(), primitives.generateKeypair()];
      a.setPrivateKey(keysA.privateKey); b.setPrivateKey(keysB.privateKey);
      const address = Uint8Array.of(127, 0, 0, 1, 1, 1);
      a.addPeer({ publicKey: keysB.publicKey, endpoint: { address: address.subarray(0, 4), port: 257 }, allowedIps: [cidr('10.0.0.0/8')], persistentKeepalive: 1 }, 0);
      b.addPeer({ publicKey: keysA.publicKey, allowedIps: [] }, 0);
      b.up(0); a.up(0);
      const said = [b.receive(forB.shift(), address, 1), a.receive(forA.shift(), address, 2), b.receive(forB.shift(), address, 3)];
      console.log(said.join(' '));
    `;
    writeFileSync(join(project, 'shake.js'), source);
    expect(run(node, ['shake.js'], project)).toBe('response established keepalive\n');
  });

  it.each(nodes)('lets %s import the device, which says what it lacks', (node) => {
    writeFileSync(
      join(project, 'device.js'),
      `import { Device } from 'kilowire/device';
       await Device.start({ name: 'no/such/name' }).catch((error) => console.log(error.name, error.code));`,
    );
    expect(run(node, ['device.js'], project)).toMatch(/^TunError ERR_TUN_\w+\n$/);
  });

  it('has types for a strict project', () => {
    writeFileSync(
      join(project, 'typed.ts'),
      `import { Device, type HandshakeEvent } from 'kilowire/device';
       import { parseConf, Tunnel, type SendOutcome } from 'kilowire/noise';
       export const send = (tunnel: Tunnel): SendOutcome => tunnel.send(new Uint8Array(20), 0);
       export async function start(text: string): Promise<Device> {
         const device = await Device.start({ name: 'wg0', config: parseConf(text).device });
         device.on('handshake', ({ role }: HandshakeEvent) => role satisfies 'initiator' | 'responder');
         device.on('drop', ({ reason, count }) => console.log(reason.length, count.toFixed()));
         // @ts-expect-error there is no such event
         device.on('hand-shake', () => {});
         return device;
       }\n`,
    );
    const options = { strict: true, noEmit: true, skipLibCheck: false, target: 'es2023', types: ['node'] };
    for (const [module, moduleResolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ]) {
      const compilerOptions = { ...options, module, moduleResolution };
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['typed.ts'] }));
      run(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], project);
    }
  });

  it.each(['kilowire', 'kilowire-wg'])('starts %s from node_modules/.bin on the pinned Node', (name) => {
    const { version } = manifest as unknown as { version: string };
    expect(run(join(project, 'node_modules/.bin', name), ['--version'], project)).toContain(version);
    const found = `root=${join(project, 'node_modules/kilowire')}; . "$root/bin/find-node"; echo "$node"`;
    const pinned = join(project, `node_modules/node-linux-${process.arch}/bin/node`);
    expect(run('sh', ['-c', found], project)).toBe(`${pinned}\n`);
  });
});
