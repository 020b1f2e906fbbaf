/**
 * One call: what a runtime asks, to the document that answers it. Who reads standard input and writes the answer is the
 * caller's business: a process that lives for this call, or one that answers many.
 * Source: CNI specification 1.1.0 §2 to §4.
 * @module
 */
import { asCniError, type CniError, errorDocument } from './cni-error.ts';
import { errorUnderName } from './go-name.ts';
import {
  type Environment,
  newestVersion,
  parseRequest,
  parseVerb,
  type Request,
  spokenVersion,
  supportedVersions,
} from './request.ts';
import { add } from './verbs/add.ts';
import { runChained } from './verbs/chained.ts';
import { check } from './verbs/check.ts';
import { del } from './verbs/del.ts';
import { gc } from './verbs/gc.ts';
import { runLoopback } from './verbs/loopback.ts';
import { status } from './verbs/status.ts';

export interface Call {
  readonly env: Environment;
  /** argv[0]: the name it was installed under. */
  readonly program: string;
  readStdin(): string;
  /** Nobody writes to it. */
  readonly hasStdin: () => boolean;
  /** Told when the request is understood, before anything is done; what it throws ends the call. */
  readonly begins?: (type: string, request: Request) => void;
}

export interface Answer {
  /** '' for nothing. */
  readonly document: string;
  /** Exit status. */
  readonly status: 0 | 1;
  readonly error?: CniError;
  readonly request?: Request;
  readonly type?: string;
}

export function answer(call: Call): Answer {
  let stdin = '';
  let request: Request | undefined;
  let type = '';
  try {
    const verb = parseVerb(call.env);
    if (verb === 'VERSION') {
      // The answer is in the version asked in, says the specification; nobody has to ask in one, or to write at all.
      const cniVersion = call.hasStdin() ? spokenVersion(call.readStdin()) : newestVersion;
      return { document: JSON.stringify({ cniVersion, supportedVersions }), status: 0 };
    }
    request = parseRequest(verb, call.env, () => {
      stdin = call.readStdin();
      return stdin;
    });
    type = request.config.string('type') || call.program.slice(call.program.lastIndexOf('/') + 1);
    call.begins?.(type, request);
    return { document: run(type, request, call.env), status: 0, request, type };
  } catch (failure) {
    const error = asCniError(failure);
    return { document: errorDocument(error, spokenVersion(stdin)), status: 1, error };
  }
}

function run(type: string, request: Request, env: Environment): string {
  try {
    return runAs(type, request, env);
  } catch (error) {
    throw errorUnderName(type, error);
  }
}

function runAs(type: string, request: Request, env: Environment): string {
  if (isLoopback(type)) return runLoopback(request);
  if (type === 'portmap' || type === 'bandwidth') return runChained(type, request, env);
  switch (request.verb) {
    case 'ADD':
      return add(request, env);
    case 'DEL':
      del(request, env);
      return '';
    case 'CHECK':
      check(request, env);
      return '';
    case 'STATUS':
      status(request, env);
      return '';
    case 'GC':
      gc(request, env);
      return '';
  }
}

const isLoopback = (type: string): boolean => type === 'loopback';

/** Not one of the small plugins that stand beside or behind a network's own. */
export const isNetwork = (type: string): boolean => !['loopback', 'portmap', 'bandwidth'].includes(type);
