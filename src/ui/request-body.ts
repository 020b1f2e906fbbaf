/**
 * The body of a request as a value of a known shape. JSON only: a form of a foreign page cannot send that.
 * @module
 */
import type { IncomingMessage } from 'node:http';
import { type BaseIssue, type BaseSchema, type InferOutput, safeParse } from 'valibot';
import { UiError } from './ui-error.ts';

const LONGEST = 64 << 10;

/** @throws UiError when it is not of that shape. */
export const readBody = async <Schema extends BaseSchema<unknown, unknown, BaseIssue<unknown>>>(
  request: IncomingMessage,
  schema: Schema,
): Promise<InferOutput<Schema>> => {
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? ''))
    throw new UiError('ERR_UI_REQUEST', 'The body must be JSON (content-type: application/json).');
  const result = safeParse(schema, parsed(await readText(request)));
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = issue.path?.map(({ key }) => String(key)).join('.') ?? '';
  throw new UiError(
    'ERR_UI_REQUEST',
    `The body cannot be read${path === '' ? '' : ` at ${path}`}: ${issue.message}.`,
  );
};

const readText = async (request: IncomingMessage): Promise<string> => {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > LONGEST) throw new UiError('ERR_UI_REQUEST', `The body is longer than ${LONGEST} bytes.`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
};

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new UiError('ERR_UI_REQUEST', 'The body is no JSON.', { cause });
  }
};
