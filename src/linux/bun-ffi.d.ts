/**
 * The part of Bun's FFI module that sys-bun.ts uses (https://bun.com/docs/api/ffi), declared here so that the types
 * check without Bun's own type package.
 * @module
 */
declare module 'bun:ffi' {
  interface Declaration {
    readonly args: readonly string[];
    readonly returns: string;
  }
  export function dlopen(
    path: string,
    symbols: Readonly<Record<string, Declaration>>,
  ): { readonly symbols: Readonly<Record<string, ((...args: unknown[]) => unknown) | undefined>> };
  export function ptr(bytes: Uint8Array): number;
  export const read: { i32(pointer: number, offset: number): number };
}
