/**
 * Ways to reach an API: a pod's account, files with tokens, certificates and plugins, and the file Kilo used to ship.
 * @module
 */
import { chmodSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inClusterAccess } from '../../../src/agent/kubernetes/cluster-access.ts';
import { ExecCredential } from '../../../src/agent/kubernetes/exec-credential.ts';
import { clusterAccess } from '../../../src/agent/kubernetes/kubeconfig.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kilowire-kubeconfig-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string, text: string, mode = 0o600): string => {
  const path = join(folder, name);
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return path;
};
const config = (cluster: string, user: string, clusterName = 'kilo'): string =>
  file(
    'config',
    `apiVersion: v1
kind: Config
current-context: kilo
contexts: [{name: kilo, context: {cluster: kilo, user: kilo}}]
clusters: [{name: ${clusterName}, cluster: ${cluster}}]
users: [{name: kilo, user: ${user}}]
`,
  );
const load = (kubeconfig: string, environment: NodeJS.ProcessEnv = {}) =>
  clusterAccess({ kubeconfig, environment });

describe('a kubeconfig', () => {
  it('with a token', async () => {
    const access = await load(
      config(
        '{server: "https://127.0.0.1:6443", certificate-authority-data: Q0E=, tls-server-name: api}',
        '{token: abc}',
      ),
    );
    expect(access.server.href).toBe('https://127.0.0.1:6443/');
    expect([String(access.authority), access.serverName]).toEqual(['CA', 'api']);
    expect(await access.credentials(false)).toEqual({ authorization: 'Bearer abc' });
  });

  it('with files beside it', async () => {
    file('ca.pem', 'THE CA');
    file('cert.pem', 'CERT');
    file('key.pem', 'KEY');
    const access = await load(
      config(
        '{server: "https://h", certificate-authority: ca.pem}',
        '{client-certificate: cert.pem, client-key: key.pem}',
      ),
    );
    expect(access.authority).toBe('THE CA');
    expect(await access.credentials(false)).toEqual({
      clientCertificate: { certificate: 'CERT', key: 'KEY' },
    });
  });

  it('with a token in a file that is replaced', async () => {
    file('token', 'one\n');
    const access = await load(config('{server: "https://h"}', '{tokenFile: token}'));
    expect((await access.credentials(false)).authorization).toBe('Bearer one');
    renameSync(file('token.new', 'two!\n'), join(folder, 'token'));
    expect((await access.credentials(false)).authorization).toBe('Bearer two!');
  });

  it('that names no cluster falls back to the pod, as the one Kilo shipped does', async () => {
    const account = join(folder, 'account');
    rmSync(account, { recursive: true, force: true });
    const path = config('{server: "https://h"}', '{}', 'other');
    await expect(load(path)).rejects.toThrow('names no cluster with a server');
    const warnings: string[] = [];
    const inside = { KUBERNETES_SERVICE_HOST: '10.43.0.1', KUBERNETES_SERVICE_PORT: '443' };
    const attempt = clusterAccess({
      kubeconfig: path,
      environment: inside,
      warn: (text) => warnings.push(text),
    });
    await expect(attempt).rejects.toThrow(/token .*serviceaccount/); // there is none on this machine
    expect(warnings).toHaveLength(1);
  });

  it.each([
    ['clusters: 7', 'clusters is not as it should be'],
    ['{', 'it is not YAML'],
    ['', 'names no cluster'],
  ])('of %s is told', async (text, why) => {
    await expect(load(file('wrong', text))).rejects.toThrow(why);
  });

  it('that is missing is told', async () => {
    await expect(load(join(folder, 'none'))).rejects.toThrow('Cannot read the kubeconfig');
  });

  it('gives way to --master for the address', async () => {
    const kubeconfig = config('{server: "https://h"}', '{token: abc}');
    const access = await clusterAccess({ kubeconfig, master: 'http://127.0.0.1:8001', environment: {} });
    expect(access.server.href).toBe('http://127.0.0.1:8001/');
  });
});

describe('a credential plugin', () => {
  const plugin = (text: string): string => file('plugin', `#!/bin/sh\n${text}\n`, 0o700);
  const credential = (command: string, now = () => 0) =>
    new ExecCredential({
      command,
      args: ['x'],
      environment: { WHO: 'me' },
      apiVersion: 'client.authentication.k8s.io/v1',
      now,
    });
  const status = (fields: string): string =>
    `echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{${fields}}}'`;

  it('gives a token, kept until it ends', async () => {
    const runs = join(folder, 'runs');
    const path = plugin(
      `echo run >> ${runs}\n${status('"token":"\'$WHO-$1\'","expirationTimestamp":"1970-01-01T01:00:00Z"')}`,
    );
    let now = 0;
    const source = credential(path, () => now);
    expect(await source.get(false)).toEqual({ authorization: 'Bearer me-x' });
    await Promise.all([source.get(false), source.get(false)]);
    const { readFileSync } = await import('node:fs');
    expect(readFileSync(runs, 'utf8')).toBe('run\n');
    now = 3_600_000 - 5000;
    await source.get(false);
    await source.get(true);
    expect(readFileSync(runs, 'utf8')).toBe('run\nrun\nrun\n');
  });

  it('that fails is told with its last words, without its arguments', async () => {
    const error = await credential(plugin('echo please log in >&2; exit 3'))
      .get(false)
      .catch((reason: Error) => reason);
    expect(String(error)).toMatch(/failed \(3\): please log in\.$/);
  });

  it('that prints something else is told without what it printed', async () => {
    const error = await credential(plugin('echo secret-words'))
      .get(false)
      .catch((reason: Error) => reason);
    expect(String(error)).toContain('did not print an ExecCredential');
    expect(String(error)).not.toContain('secret-words');
  });
});

describe('a pod', () => {
  it('reads its token by path, since the kubelet turns the link round', async () => {
    const directory = mkdtempSync(join(folder, 'sa-'));
    for (const data of ['one', 'two']) {
      const path = join(directory, data);
      writeFileSync(path, data);
    }
    writeFileSync(join(directory, 'ca.crt'), 'CA');
    symlinkSync('one', join(directory, 'token'));
    const access = inClusterAccess(
      { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '443' },
      directory,
    );
    expect(access.server.href).toBe('https://[fd00::1]/');
    expect(await access.credentials(false)).toEqual({ authorization: 'Bearer one' });
    symlinkSync('two', join(directory, 'next'));
    renameSync(join(directory, 'next'), join(directory, 'token'));
    expect(await access.credentials(false)).toEqual({ authorization: 'Bearer two' });
  });

  it('is told when this is none', () => {
    expect(() => inClusterAccess({})).toThrow('this is not a pod (KUBERNETES_SERVICE_HOST is not set)');
  });
});
