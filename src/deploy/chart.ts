/**
 * The Helm chart, made from the same description as the manifests, so that both say the same.
 * Source: Helm's chart layout (Chart.yaml, values.yaml, values.schema.json, templates/, crds/).
 * @module
 */
import { DESCRIPTIONS, definition } from './manifests.ts';
import { PAGE_AT_HOME, SETTINGS, type Setting, type SettingValue } from './settings.ts';
import { toTemplate, toYaml } from './template.ts';

/** Path in the chart → content. */
export const chart = (version: string): Readonly<Record<string, string>> => {
  const defaults = Object.fromEntries(
    Object.entries(SETTINGS).map(([name, { default: value }]) => [name, value]),
  );
  const templates = Object.entries(DESCRIPTIONS).map(
    ([name, description]) => [`templates/${name}.yaml`, toTemplate(description, defaults)] as const,
  );
  return {
    'Chart.yaml': toYaml({
      apiVersion: 'v2',
      name: 'kilowire',
      description: 'One encrypted pod network for a cluster across clouds, homes and edges.',
      type: 'application',
      version,
      appVersion: version,
      kubeVersion: '>=1.26.0-0',
    }),
    'values.yaml': valuesFile(),
    'values.schema.json': `${JSON.stringify(schema(), null, 2)}\n`,
    'crds/peers.kilo.squat.ai.yaml': toYaml(definition()),
    ...Object.fromEntries(templates),
  };
};

/** Settings as a tree of one or two levels. */
const groups = (): ReadonlyMap<string, readonly (readonly [string, Setting])[]> => {
  const found = new Map<string, (readonly [string, Setting])[]>();
  for (const [name, setting] of Object.entries(SETTINGS)) {
    const [first = '', second] = name.split('.');
    found.set(first, [...(found.get(first) ?? []), [second ?? '', setting]]);
  }
  return found;
};

const entry = (name: string, { description, default: value }: Setting, indent: string): string => {
  const body = toYaml({ [name]: value })
    .trimEnd()
    .split('\n');
  return [`# ${description}`, ...body].map((line) => `${indent}${line}\n`).join('');
};

const valuesFile = (): string => {
  const parts = [...groups()].map(([name, settings]) => {
    const only = settings[0];
    if (only !== undefined && only[0] === '') return entry(name, only[1], '');
    return `${name}:\n${settings.map(([second, setting]) => entry(second, setting, '  ')).join('')}`;
  });
  return `# Values of the chart, with their defaults (k3s).\n${parts.join('\n')}`;
};

const typeOf = (value: SettingValue): object => {
  if (Array.isArray(value)) return { type: 'array', items: { type: 'string' } };
  if (typeof value === 'number') return { type: 'integer' };
  return { type: typeof value };
};

const schemaOf = ({ default: value, description, oneOf, pattern, minimum, maximum }: Setting): object => ({
  ...typeOf(value),
  description,
  default: value,
  ...(oneOf === undefined ? {} : { enum: oneOf }),
  ...(pattern === undefined ? {} : { pattern }),
  ...(minimum === undefined ? {} : { minimum }),
  ...(maximum === undefined ? {} : { maximum }),
});

const inUi = (properties: object): object => ({ properties: { ui: { properties } } });

const schema = (): object => {
  const properties = [...groups()].map(([name, settings]) => {
    const only = settings[0];
    if (only !== undefined && only[0] === '') return [name, schemaOf(only[1])] as const;
    const inner = settings.map(([second, setting]) => [second, schemaOf(setting)] as const);
    const object = { type: 'object', additionalProperties: false, properties: Object.fromEntries(inner) };
    return [name, object] as const;
  });
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the kilowire chart',
    type: 'object',
    additionalProperties: false,
    properties: { ...Object.fromEntries(properties), global: { type: 'object' } },
    anyOf: [inUi({ listen: { pattern: PAGE_AT_HOME } }), inUi({ tokenSecret: { minLength: 1 } })],
  };
};
