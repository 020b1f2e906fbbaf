/**
 * All targets of the fuzzer, by name.
 * @module
 */
import { messages } from './messages.ts';
import type { FuzzTarget } from './target.ts';

export const targets: readonly FuzzTarget[] = [messages];
