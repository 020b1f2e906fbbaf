/**
 * The version in package.json.
 * @module
 */
import { readFileSync } from 'node:fs';

export function version(): string {
  // The bundle lies one folder below package.json, its chunks and the source two.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(path, import.meta.url), 'utf8');
      return String((JSON.parse(text) as { version: string }).version);
    } catch {
      // Try the other.
    }
  }
  return 'unknown';
}
