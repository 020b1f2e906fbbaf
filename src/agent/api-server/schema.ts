/**
 * Holds a custom resource against its CRD's schema, as far as shapes go: types, required fields, items.
 * Source: apiextensions.k8s.io/v1 structural schemas (OpenAPI v3).
 * @module
 */

interface Schema {
  readonly type?: string;
  readonly nullable?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
}

/** What is wrong, each with its path; empty when nothing is. */
export const schemaFaults = (schema: unknown, value: unknown, path = ''): string[] => {
  const { type, properties = {}, required = [], items, nullable } = (schema ?? {}) as Schema;
  if (value === null && nullable === true) return [];
  if (type !== undefined && typeOf(value) !== type && !(type === 'number' && typeOf(value) === 'integer')) {
    const shown = value === null ? '"null"' : `"${typeOf(value)}"`;
    return [`${path}: Invalid value: ${shown}: ${path} in body must be of type ${type}: ${shown}`];
  }
  if (Array.isArray(value)) {
    return value.flatMap((item, index) => schemaFaults(items, item, `${path}[${index}]`));
  }
  if (typeof value !== 'object' || value === null) return [];
  const object = value as Readonly<Record<string, unknown>>;
  const below = (name: string): string => (path === '' ? name : `${path}.${name}`);
  return [
    // A null for a field that may not be null is pruned before it is looked at.
    ...required
      .filter((name) => object[name] === undefined || object[name] === null)
      .map((name) => `${below(name)}: Required value`),
    ...Object.entries(properties)
      .filter(([name]) => object[name] !== undefined && object[name] !== null && name !== 'metadata')
      .flatMap(([name, each]) => schemaFaults(each, object[name], below(name))),
  ];
};

const typeOf = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
};
