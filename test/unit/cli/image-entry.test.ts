/**
 * The image in the place of Kilo's: arguments of its DaemonSets, of its webhook, and our own commands.
 * Source: Kilo's manifests (kilo-k3s.yaml and its kin: flags only; peer-validation.yaml: webhook and flags).
 * @module
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

describe('the image', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kilowire-entry-'));
  beforeAll(() => {
    copyFileSync('bin/kilowire-image', join(folder, 'kilowire-image'));
    for (const name of ['kilowire', 'kg'])
      writeFileSync(join(folder, name), `#!/bin/sh\necho ${name} "$@"\n`, { mode: 0o755 });
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...args: string[]): string =>
    execFileSync(join(folder, 'kilowire-image'), args, { encoding: 'utf8' }).trim();

  it.each([
    ['kg', '--kubeconfig=/etc/kubernetes/kubeconfig --hostname=n1'],
    ['kg', '--hostname=n1 --cni=false --compatibility=flannel --local=false --internal-cidr=10.0.0.1/32'],
    ['kg', '--hostname=n1 --create-interface=false --interface=kilo0'],
    ['kg', '--version'],
    ['kilowire', 'webhook --cert-file=/run/secrets/tls/tls.crt --listen=:8443'],
    ['kilowire', 'agent --hostname=n1'],
    ['kilowire', '--kubeconfig /root/.kube/config status'],
    ['kilowire', '--help'],
    ['kilowire', ''],
  ])('runs %s when given "%s"', (program, words) => {
    const args = words === '' ? [] : words.split(' ');
    expect(run(...args)).toBe(`${program} ${words}`.trim());
  });
});
