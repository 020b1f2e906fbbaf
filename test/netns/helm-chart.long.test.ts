/**
 * The chart as Helm itself reads it: with the defaults and with other values it gives the very objects of
 * `kilowire manifests`, and its schema refuses what is wrong.
 * @module
 */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { manifests } from '../../src/deploy/manifests.ts';
import { parseSetting } from '../../src/deploy/settings.ts';
import { root } from '../repo/source-tree.ts';
import { helm } from './toolchains.ts';

const program = await helm();
interface Named {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

const sorted = (text: string): unknown[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Named | null)
    .filter((object) => object !== null)
    .toSorted((a, b) => (`${a.kind}/${a.metadata.name}` < `${b.kind}/${b.metadata.name}` ? -1 : 1));

/** A Helm that is built from its module believes in an old Kubernetes. */
const render = (...args: string[]): string =>
  execFileSync(
    program ?? '',
    ['template', 'kilowire', `${root}/deploy/chart`, '--include-crds', '--kube-version', '1.35.0', ...args],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );

describe.skipIf(program === undefined)('the Helm chart', { timeout: 60_000 }, () => {
  it.each([
    [[]],
    [['namespace=mesh', 'port=51999', 'interface=wg7', 'admissionPolicy=false']],
    [['cni.enabled=false', 'compatibility=flannel', 'local=false', 'podMonitor=true']],
    [['apiServer.host=', 'agent.cleanUp=true', 'meshGranularity=full']],
    [['ui.listen=:8107', 'ui.tokenSecret=the-page']],
    [['dns.enabled=true', 'dns.address=10.43.0.53', 'dns.replicas=3', 'dns.domain=corp.test']],
  ])('gives what kilowire manifests gives with %j', (settings) => {
    const given = settings.flatMap((setting) => ['--set', setting]);
    expect(sorted(render(...given))).toEqual(
      sorted(manifests('k3s', Object.fromEntries(settings.map(parseSetting)))),
    );
  });

  it('takes lists', () => {
    const given = [
      '--set',
      'serviceCIDR={10.96.0.0/12,fd00::/108}',
      '--set',
      'agent.extraArgs={--check-in=false,-x}',
    ];
    const values = {
      serviceCIDR: ['10.96.0.0/12', 'fd00::/108'],
      'agent.extraArgs': ['--check-in=false', '-x'],
    };
    expect(sorted(render(...given))).toEqual(sorted(manifests('k3s', values)));
  });

  it.each(['port=0', 'meshGranularity=star', 'colour=red', 'local=maybe', 'ui.listen=:8107'])(
    'refuses %s',
    (setting) => {
      expect(() => render('--set', setting)).toThrow(/values don't meet the specifications/);
    },
  );

  it('passes its own linter', () => {
    const text = execFileSync(program ?? '', ['lint', '--strict', `${root}/deploy/chart`], {
      encoding: 'utf8',
    });
    expect(text).toContain('0 chart(s) failed');
  });
});
