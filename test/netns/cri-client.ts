/**
 * As much of a kubelet's side of the Container Runtime Interface as pods' sandboxes need: gRPC by node:http2, protobuf
 * by hand. crictl is not in Debian 12.
 * Source: kubernetes cri-api v1 api.proto (field numbers); gRPC over HTTP/2.
 * @module
 */
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

const service = '/runtime.v1.RuntimeService/';

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest % 128) | (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.from(bytes);
}

const number = (field: number, value: number): Buffer =>
  value === 0 ? Buffer.alloc(0) : Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field: number, value: string | Buffer): Buffer => {
  const data = Buffer.from(value);
  return Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);
};
const message = (field: number, ...parts: Buffer[]): Buffer => bytes(field, Buffer.concat(parts));
const map = (field: number, entries: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(
    Object.entries(entries).map(([key, value]) => message(field, bytes(1, key), bytes(2, value))),
  );

type Field = readonly [number, number | Buffer];

/** The fields of a message, in order; fixed-width ones are passed over. */
function parse(buffer: Buffer): readonly Field[] {
  const fields: Field[] = [];
  let at = 0;
  const next = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = buffer[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < buffer.length) {
    const tag = next();
    if ((tag & 7) === 0) fields.push([tag >> 3, next()]);
    else if ((tag & 7) === 2) {
      const length = next();
      fields.push([tag >> 3, buffer.subarray(at, at + length)]);
      at += length;
    } else at += (tag & 7) === 1 ? 8 : 4;
  }
  return fields;
}

function child(fields: readonly Field[], field: number): Buffer {
  const value = fields.find(([key]) => key === field)?.[1];
  return typeof value === 'object' ? value : Buffer.alloc(0);
}
const text = (fields: readonly Field[], field: number): string => child(fields, field).toString();

export interface SandboxOptions {
  readonly cgroup: string;
  readonly ports?: readonly { readonly container: number; readonly host: number }[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface SandboxStatus {
  readonly ready: boolean;
  readonly ip: string;
  readonly additionalIps: readonly string[];
}

export class CriClient {
  readonly #session: ClientHttp2Session;

  constructor(socket: string) {
    this.#session = connectHttp2('http://localhost', { createConnection: () => connect(socket) });
    // Each call has its own error; a runtime that is killed also ends the session.
    this.#session.on('error', () => {});
  }

  close(): void {
    this.#session.destroy();
  }

  /** Answers the sandbox's id. */
  async runPodSandbox(
    name: string,
    { cgroup, ports = [], annotations = {} }: SandboxOptions,
  ): Promise<string> {
    const config = [
      message(1, bytes(1, name), bytes(2, `uid-${name}`), bytes(3, 'default')),
      bytes(2, name),
      bytes(3, `/run/podlogs/${name}`),
      ...ports.map(({ container, host }) => message(5, number(2, container), number(3, host))),
      map(7, annotations),
      message(8, bytes(1, cgroup)),
    ];
    return text(parse(await this.#call('RunPodSandbox', message(1, ...config))), 1);
  }

  async stopPodSandbox(id: string): Promise<void> {
    await this.#call('StopPodSandbox', bytes(1, id));
  }

  async removePodSandbox(id: string): Promise<void> {
    await this.#call('RemovePodSandbox', bytes(1, id));
  }

  async status(id: string): Promise<SandboxStatus> {
    const status = parse(child(parse(await this.#call('PodSandboxStatus', bytes(1, id))), 1));
    const network = parse(child(status, 5));
    return {
      // SANDBOX_READY is 0, which protobuf leaves out.
      ready: !status.some(([key, value]) => key === 3 && value !== 0),
      ip: text(network, 1),
      additionalIps: network
        .filter(([key]) => key === 2)
        .map(([, value]) => (typeof value === 'object' ? text(parse(value), 1) : '')),
    };
  }

  async sandboxes(): Promise<readonly string[]> {
    return parse(await this.#call('ListPodSandbox', Buffer.alloc(0)))
      .filter(([key]) => key === 1)
      .map(([, value]) => (typeof value === 'object' ? text(parse(value), 1) : ''));
  }

  /** '' when the runtime says that its network is ready, else what it says. */
  async networkTrouble(): Promise<string> {
    const status = parse(child(parse(await this.#call('Status', Buffer.alloc(0))), 1));
    const conditions = status.filter(([key]) => key === 1).map(([, value]) => parse(value as Buffer));
    const network = conditions.find((condition) => text(condition, 1) === 'NetworkReady') ?? [];
    return network.some(([key, value]) => key === 2 && value === 1) ? '' : text(network, 4) || 'not ready';
  }

  #call(method: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({
        ':method': 'POST',
        ':path': `${service}${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-timeout': '120S',
      });
      const header = Buffer.alloc(5);
      header.writeUInt32BE(request.length, 1);
      const chunks: Buffer[] = [];
      let status = '';
      let reason = '';
      const note = (headers: Readonly<Record<string, unknown>>): void => {
        if (headers['grpc-status'] === undefined) return;
        status = String(headers['grpc-status']);
        reason = decodeURIComponent(String(headers['grpc-message'] ?? ''));
      };
      stream.on('response', note);
      stream.on('trailers', note);
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('close', () => {
        if (status === '0') resolve(Buffer.concat(chunks).subarray(5));
        else reject(new Error(`${method}: ${reason || 'the runtime hung up'}`));
      });
      stream.end(Buffer.concat([header, request]));
    });
  }
}
