/**
 * The files kubectl would read: those of $KUBECONFIG, else the home directory's; under sudo then that of who called it, last
 * k3s' own. Only what exists.
 * Source: kubectl's rules of loading; passwd(5); sudo(8), SUDO_USER.
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

const K3S = '/etc/rancher/k3s/k3s.yaml';

export const kubeconfigPaths = (
  given: string | undefined,
  environment: NodeJS.ProcessEnv,
  passwd = '/etc/passwd',
): readonly string[] => {
  if (given !== undefined) return [given];
  const named = (environment.KUBECONFIG ?? '').split(delimiter).filter((path) => path !== '');
  const homes = [environment.HOME || homedir(), ...homeBehindSudo(environment.SUDO_USER, passwd)];
  const usual = [...homes.map((home) => join(home, '.kube/config')), K3S];
  const found = (named.length > 0 ? named : usual).filter((path) => existsSync(path));
  return found.length > 0 ? found : named.slice(0, 1);
};

/** sudo takes $KUBECONFIG and $HOME away, and what needs root here is called with it. */
const homeBehindSudo = (user: string | undefined, passwd: string): readonly string[] => {
  if (user === undefined || !existsSync(passwd)) return [];
  const entries = readFileSync(passwd, 'utf8').split('\n');
  return entries
    .map((entry) => entry.split(':'))
    .filter(([name]) => name === user)
    .flatMap(([, , , , , home = '']) => (home === '' ? [] : [home]))
    .slice(0, 1);
};
