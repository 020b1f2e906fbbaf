/**
 * One description of the objects, two readings: with values it is the manifest itself, without them the template of a
 * Helm chart. A description holds slots where a value goes.
 * Source: Helm's template language (quote, toYaml, nindent, if, range over .Values).
 * @module
 */
import { stringify } from 'yaml';
import type { Values } from './settings.ts';

/** A value of a setting, or text around values: `--port=${…}`. */
class Slot {
  readonly parts: readonly (string | Slot)[];
  readonly name: string;
  readonly joined: boolean;
  constructor(name: string, parts: readonly (string | Slot)[] = [], joined = false) {
    this.name = name;
    this.parts = parts;
    this.joined = joined;
  }
}

/** Something that is there only if a setting is true, or not empty. */
class When {
  readonly name: string;
  readonly body: Described;
  constructor(name: string, body: Described) {
    this.name = name;
    this.body = body;
  }
}

/** All elements of a list setting, in the midst of a list. */
class Spread {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export type Described =
  | string
  | number
  | boolean
  | Slot
  | When
  | Spread
  | readonly Described[]
  | { readonly [name: string]: Described };

export const slot = (name: string): Slot => new Slot(name);
/** The elements of a list setting with commas between. */
export const joined = (name: string): Slot => new Slot(name, [], true);
export const when = (name: string, body: Described): When => new When(name, body);
export const spread = (name: string): Spread => new Spread(name);

/** text`--port=${slot('port')}` */
export const text = (strings: readonly string[], ...slots: readonly Slot[]): Slot =>
  new Slot(
    '',
    strings
      .flatMap((string, index) => [string, ...slots.slice(index, index + 1)])
      .filter((part) => part !== ''),
  );

const isSet = (values: Values, name: string): boolean => {
  const value = values[name];
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
};

const slotValue = (slotted: Slot, values: Values): unknown => {
  if (slotted.parts.length > 0)
    return slotted.parts
      .map((part) => (part instanceof Slot ? String(slotValue(part, values)) : part))
      .join('');
  const value = values[slotted.name];
  return slotted.joined && Array.isArray(value) ? value.join(',') : value;
};

/** The description with its values; undefined: it is not there. */
export const resolve = (node: Described, values: Values): unknown => {
  if (node instanceof Slot) return slotValue(node, values);
  if (node instanceof When) return isSet(values, node.name) ? resolve(node.body, values) : undefined;
  if (node instanceof Spread) return values[node.name];
  if (Array.isArray(node))
    return node.flatMap((item: Described) => {
      const value = resolve(item, values);
      return item instanceof Spread && Array.isArray(value) ? value : value === undefined ? [] : [value];
    });
  if (typeof node !== 'object') return node;
  const entries = Object.entries(node).map(([key, item]) => [key, resolve(item, values)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
};

export const toYaml = (value: unknown): string =>
  stringify(value, { lineWidth: 0, aliasDuplicateObjects: false, indentSeq: false });

const expression = (slotted: Slot): string =>
  slotted.joined ? `join "," .Values.${slotted.name}` : `.Values.${slotted.name}`;

/** A mark that YAML leaves as it is, and that no text of ours contains. */
const MARK = '@@';
const mark = (kind: string, content: string): string => `${MARK}${kind}:${content}${MARK}`;

const marked = (node: Described, defaults: Values): unknown => {
  if (node instanceof Slot) return markedSlot(node, defaults);
  if (node instanceof Spread) return mark('spread', node.name);
  if (node instanceof When) throw new Error('A condition stands in a list, or is an object of its own.');
  if (Array.isArray(node))
    return node.flatMap((item: Described) =>
      item instanceof When
        ? [mark('if', item.name), marked(item.body, defaults), mark('end', item.name)]
        : [marked(item, defaults)],
    );
  if (typeof node !== 'object') return node;
  return Object.fromEntries(Object.entries(node).map(([key, item]) => [key, marked(item, defaults)]));
};

const markedSlot = (slotted: Slot, defaults: Values): string => {
  if (slotted.parts.length > 0) {
    const parts = slotted.parts.map((part) => (part instanceof Slot ? `{{ ${expression(part)} }}` : part));
    return mark('text', parts.join(''));
  }
  const kind = slotted.joined ? 'string' : typeof defaults[slotted.name];
  return mark(kind, expression(slotted));
};

/** The description as the text of a chart's template. */
export const toTemplate = (node: Described, defaults: Values): string => {
  if (node instanceof When)
    return `{{- if .Values.${node.name} }}\n${toTemplate(node.body, defaults)}{{- end }}\n`;
  const lines = toYaml(marked(node, defaults)).split('\n');
  return lines.map(templateLine).join('\n');
};

const templateLine = (line: string): string => {
  const match = new RegExp(`^(\\s*)(.*?)(["']?)${MARK}(\\w+):(.*)${MARK}\\3$`).exec(line);
  if (match === null) return line;
  const [, indent = '', before = '', , kind = '', content = ''] = match;
  switch (kind) {
    case 'if':
      return `${indent}{{- if .Values.${content} }}`;
    case 'end':
      return `${indent}{{- end }}`;
    case 'spread':
      return `${indent}{{- with .Values.${content} }}\n${indent}{{- toYaml . | nindent ${indent.length} }}\n${indent}{{- end }}`;
    case 'text':
      return `${indent}${before}"${content}"`;
    case 'object':
      return `${indent}${before.trimEnd()}\n${indent}  {{- toYaml ${content} | nindent ${indent.length + 2} }}`;
    case 'string':
      return `${indent}${before}{{ ${content} | quote }}`;
    default:
      return `${indent}${before}{{ ${content} }}`;
  }
};
