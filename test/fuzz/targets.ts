/**
 * All targets of the fuzzer, by name.
 * @module
 */
import { coalesce } from './coalesce.ts';
import { conf } from './conf.ts';
import { messages } from './messages.ts';
import { segments } from './segments.ts';
import type { FuzzTarget } from './target.ts';
import { trie } from './trie.ts';
import { tunnel } from './tunnel.ts';
import { uapi } from './uapi.ts';

export const targets: readonly FuzzTarget[] = [messages, tunnel, uapi, segments, coalesce, trie, conf];
