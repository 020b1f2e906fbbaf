/**
 * The part of the WebAssembly API we use; the declarations for Node have none and the DOM's bring a browser along.
 * Source: WebAssembly JavaScript Interface, https://webassembly.github.io/spec/js-api/.
 * @module
 */
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { initial: number; maximum: number; shared: boolean });
    readonly buffer: SharedArrayBuffer;
  }
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
}
