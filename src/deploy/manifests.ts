/**
 * Everything that `kubectl apply -f` needs, for each kind of cluster.
 * @module
 */
import { PEER_DEFINITION } from '../agent/peer-definition.ts';
import { access } from './access.ts';
import { daemons } from './daemons.ts';
import { DeployError } from './deploy-error.ts';
import { dns } from './dns.ts';
import { type Values, valuesWith } from './settings.ts';
import { type Described, resolve, toYaml } from './template.ts';

/** What each kind of cluster sets differently. */
export const VARIANTS: Readonly<Record<string, { readonly description: string; readonly values: Values }>> = {
  k3s: { description: 'k3s with --flannel-backend=none --disable-network-policy', values: {} },
  'k3s-flannel': {
    description: 'k3s with its own flannel: only what leaves a location is encrypted',
    values: { 'cni.enabled': false, compatibility: 'flannel', local: false },
  },
  'k3s-cilium': {
    description: 'k3s with Cilium',
    values: { 'cni.enabled': false, compatibility: 'cilium', local: false, encapsulate: 'crosssubnet' },
  },
  kubeadm: {
    description: 'kubeadm without a network plugin; the API is found by its Service',
    values: { 'apiServer.host': '', serviceCIDR: ['10.96.0.0/12'], 'dns.address': '10.96.0.10' },
  },
  'kubeadm-flannel': {
    description: 'kubeadm with flannel',
    values: {
      'apiServer.host': '',
      serviceCIDR: ['10.96.0.0/12'],
      'dns.address': '10.96.0.10',
      'cni.enabled': false,
      compatibility: 'flannel',
      local: false,
    },
  },
};

/** File name → description, in the order in which they are applied. */
export const DESCRIPTIONS: Readonly<Record<string, Described>> = { ...access, ...daemons, ...dns };

/** What may be had alone. */
export type Part = 'dns';

export const definition = (): unknown => PEER_DEFINITION;

/**
 * The YAML of all objects, or of those of one part.
 * @throws DeployError
 */
export const manifests = (variant: string, given: Values = {}, only?: Part): string => {
  const known = VARIANTS[variant];
  if (known === undefined)
    throw new DeployError(
      'ERR_DEPLOY_VARIANT',
      `There is no variant "${variant}"; there are: ${Object.keys(VARIANTS).join(', ')}.`,
    );
  const isAlone = only === 'dns';
  const values = valuesWith({ ...known.values, ...given, ...(isAlone ? { 'dns.enabled': true } : {}) });
  const described = Object.values(isAlone ? dns : DESCRIPTIONS).map((each) => resolve(each, values));
  const objects = isAlone ? described : [definition(), ...described];
  const documents = objects.filter((object) => object !== undefined).map(toYaml);
  return `# ${isAlone ? 'CoreDNS' : 'Kilowire'} for ${known.description}.\n${documents.join('---\n')}`;
};
