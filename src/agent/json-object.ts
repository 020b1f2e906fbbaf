/**
 * JSON in an annotation, which anybody may have written.
 * Source: RFC 8259.
 * @module
 */

/** Null when it is not JSON, or no object. */
export const jsonObject = (text: string): Readonly<Record<string, unknown>> | null => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  return typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)
    ? null
    : (parsed as Record<string, unknown>);
};
