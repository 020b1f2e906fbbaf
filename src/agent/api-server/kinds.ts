/**
 * Which kinds the API server serves: the built-in ones a mesh needs, and those that CRDs bring.
 * @module
 */
import {
  CUSTOM_RESOURCE_DEFINITIONS,
  type CustomResourceDefinition,
  EVENTS,
  LEASES,
  NODES,
  PODS,
  SERVICES,
} from '../kubernetes/resources.ts';

export interface Kind {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Brought by a CRD, with its schema. */
  readonly custom?: { readonly schema: unknown };
}

const NAMESPACES: Kind = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
};

export const BUILT_IN: readonly Kind[] = [
  NODES,
  NAMESPACES,
  PODS,
  SERVICES,
  EVENTS,
  LEASES,
  CUSTOM_RESOURCE_DEFINITIONS,
];

/** `nodes`, `peers.kilo.squat.ai`: how messages and the store name it. */
export const resourceName = ({ group, plural }: Pick<Kind, 'group' | 'plural'>): string =>
  group === '' ? plural : `${plural}.${group}`;

export const CRD_RESOURCE = resourceName(CUSTOM_RESOURCE_DEFINITIONS);

/** The kinds a CRD serves. */
export const kindsOf = ({ spec }: Pick<CustomResourceDefinition, 'spec'>): Kind[] =>
  spec.versions
    .filter(({ served }) => served)
    .map(({ name, schema }) => ({
      group: spec.group,
      version: name,
      plural: spec.names.plural,
      kind: spec.names.kind,
      namespaced: spec.scope === 'Namespaced',
      custom: { schema: (schema as { openAPIV3Schema?: unknown } | undefined)?.openAPIV3Schema },
    }));
