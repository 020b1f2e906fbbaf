import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { kubeconfigPaths } from '../../../src/cli/kubeconfig-paths.ts';

const folder = mkdtempSync(join(tmpdir(), 'kilowire-kubeconfig-'));
afterAll(() => rmSync(folder, { recursive: true }));
const home = (name: string): string => {
  mkdirSync(join(folder, name, '.kube'), { recursive: true });
  writeFileSync(join(folder, name, '.kube/config'), '');
  return join(folder, name);
};
const [root, ada] = [home('root'), home('ada')];
const passwd = join(folder, 'passwd');
writeFileSync(passwd, `root:x:0:0::${join(folder, 'none')}:/bin/sh\nada:x:1000:1000:Ada:${ada}:/bin/sh\n`);
const config = (at: string): string => join(at, '.kube/config');
/** Without k3s' own, which this machine may have. */
const paths = (environment: NodeJS.ProcessEnv, given?: string): readonly string[] =>
  kubeconfigPaths(given, environment, passwd).filter((path) => !path.startsWith('/etc/'));

describe('the kubeconfig', () => {
  it('is what was given, else what $KUBECONFIG names, else that of the home directory', () => {
    const environment = { HOME: root, KUBECONFIG: `${config(ada)}:/nowhere` };
    expect(paths(environment, '/given')).toEqual(['/given']);
    expect(paths(environment)).toEqual([config(ada)]);
    expect(paths({ HOME: root })).toEqual([config(root)]);
  });

  it('is the one of who called sudo, where root has none', () => {
    const none = join(folder, 'none');
    expect(paths({ HOME: none, SUDO_USER: 'ada' })).toEqual([config(ada)]);
    expect(paths({ HOME: root, SUDO_USER: 'ada' })[0]).toBe(config(root));
    expect(paths({ HOME: none, SUDO_USER: 'nobody-of-that-name' })).toEqual([]);
    expect(paths({ HOME: none })).toEqual([]);
  });

  it('is named when it does not exist, so that it can be told', () => {
    expect(paths({ HOME: root, KUBECONFIG: '/nowhere' })).toEqual(['/nowhere']);
  });
});
