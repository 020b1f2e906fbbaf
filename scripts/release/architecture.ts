/**
 * The machines a release is made for, and what each world calls them.
 * @module
 */

export interface Architecture {
  /** Node's and npm's name. */
  readonly node: 'x64' | 'arm64';
  /** Debian's and OCI's name. */
  readonly debian: 'amd64' | 'arm64';
  /** The suffix of Bun's package. */
  readonly bun: string;
}

export const ARCHITECTURES: readonly Architecture[] = [
  { node: 'x64', debian: 'amd64', bun: 'linux-x64-baseline' },
  { node: 'arm64', debian: 'arm64', bun: 'linux-aarch64' },
];
