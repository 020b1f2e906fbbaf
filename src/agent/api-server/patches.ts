/**
 * The patches a client may send: merge patch, and JSON patch.
 * Source: RFC 7386, RFC 6902 (add, remove, replace, test), RFC 6901 for paths.
 * @module
 */
import { ApiStatus } from './status.ts';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** RFC 7386 §2: null takes away, objects are merged, anything else replaces. */
export const mergePatch = (target: unknown, patch: unknown): unknown => {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
};

/** RFC 6902, as far as objects and the ends of arrays go. All of it or nothing. */
export const jsonPatch = (target: unknown, operations: unknown): unknown => {
  if (!Array.isArray(operations))
    throw new ApiStatus(400, 'BadRequest', 'a JSON patch is a list of operations');
  let result = target;
  for (const operation of operations) {
    const { op, path, value } = (operation ?? {}) as { op?: unknown; path?: unknown; value?: unknown };
    const keys = pointer(String(path ?? ''));
    if (op === 'test') {
      if (JSON.stringify(valueAt(result, keys)) !== JSON.stringify(value))
        throw unprocessable(`test of ${path} failed`);
    } else if (op === 'add' || op === 'replace' || op === 'remove') {
      result = changed(result, keys, op, value);
    } else {
      throw new ApiStatus(400, 'BadRequest', `the operation ${String(op)} of a JSON patch is not known here`);
    }
  }
  return result;
};

const pointer = (path: string): string[] =>
  path
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

const valueAt = (target: unknown, keys: readonly string[]): unknown =>
  keys.reduce<unknown>(
    (at, key) => (isObject(at) ? at[key] : Array.isArray(at) ? at[Number(key)] : undefined),
    target,
  );

const changed = (
  target: unknown,
  [key, ...rest]: readonly string[],
  op: 'add' | 'replace' | 'remove',
  value: unknown,
): unknown => {
  if (key === undefined) return value;
  if (Array.isArray(target)) {
    const index = key === '-' ? target.length : Number(key);
    const copy: unknown[] = [...target];
    if (rest.length > 0) copy[index] = changed(copy[index], rest, op, value);
    else copy.splice(index, op === 'add' ? 0 : 1, ...(op === 'remove' ? [] : [value]));
    return copy;
  }
  if (!isObject(target)) throw unprocessable(`there is nothing at "${key}"`);
  const there = Object.hasOwn(target, key);
  if (rest.length > 0) {
    if (!there) throw unprocessable(`there is nothing at "${key}"`);
    return { ...target, [key]: changed(target[key], rest, op, value) };
  }
  if (op !== 'add' && !there) throw unprocessable(`there is nothing at "${key}"`);
  const copy = { ...target };
  if (op === 'remove') delete copy[key];
  else copy[key] = value;
  return copy;
};

const unprocessable = (why: string): ApiStatus =>
  new ApiStatus(422, 'Invalid', `the server rejected our request due to an error in our request: ${why}`);
