/**
 * An OCI image as one file: layers are tar files with fixed order, owner and time, so that the same files make the same
 * image, whoever builds it and when.
 * Source: OCI image specification 1.1 (layout, manifest, index, configuration).
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Architecture } from './architecture.ts';

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface Layer {
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed tar. */
  readonly diffId: string;
  readonly createdBy: string;
}

export interface ImageOptions {
  readonly architecture: Architecture;
  readonly layers: readonly Layer[];
  readonly version: string;
}

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const TIME = '1970-01-01T00:00:00Z';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

/** A folder in the shape of an OCI image layout. */
export class OciArchive {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  }

  #blob(bytes: Uint8Array, mediaType: string): Descriptor {
    const digest = sha256(bytes);
    writeFileSync(join(this.#folder, 'blobs/sha256', digest.slice(7)), bytes);
    return { mediaType, digest, size: bytes.length };
  }

  #json(value: unknown, mediaType: string): Descriptor {
    return this.#blob(Buffer.from(JSON.stringify(value)), mediaType);
  }

  /** All files below a folder. */
  layer(folder: string, createdBy: string): Layer {
    const file = `${this.#folder}/layer.tar`;
    const fixed = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '--format=gnu'];
    execFileSync('tar', [...fixed, '-cf', file, '-C', folder, '.']);
    const tar = readFileSync(file);
    rmSync(file);
    const descriptor = this.#blob(gzipSync(tar, { level: 9 }), 'application/vnd.oci.image.layer.v1.tar+gzip');
    return { descriptor, diffId: sha256(tar), createdBy };
  }

  image({ architecture, layers, version }: ImageOptions): object {
    const configuration = {
      created: TIME,
      architecture: architecture.debian,
      os: 'linux',
      config: {
        Entrypoint: ['/kilowire/bin/kilowire-image'],
        Env: ['PATH=/kilowire/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
        WorkingDir: '/',
        Labels: {
          'org.opencontainers.image.title': 'kilowire',
          'org.opencontainers.image.version': version,
          'org.opencontainers.image.licenses': 'Apache-2.0',
        },
      },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(({ createdBy }) => ({ created: TIME, created_by: createdBy })),
    };
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: this.#json(configuration, 'application/vnd.oci.image.config.v1+json'),
      layers: layers.map(({ descriptor }) => descriptor),
    };
    return {
      ...this.#json(manifest, MANIFEST),
      platform: { architecture: architecture.debian, os: 'linux' },
    };
  }

  /** The whole as a tar file that `ctr image import`, `podman load` and k3s take. */
  finish(images: readonly object[], name: string, file: string): number {
    const index = this.#json({ schemaVersion: 2, mediaType: INDEX, manifests: images }, INDEX);
    const annotations = {
      'io.containerd.image.name': name,
      'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
    };
    const top = { schemaVersion: 2, mediaType: INDEX, manifests: [{ ...index, annotations }] };
    writeFileSync(join(this.#folder, 'index.json'), JSON.stringify(top));
    writeFileSync(join(this.#folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    const fixed = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
    execFileSync('tar', [...fixed, '-cf', `${file}.draft`, '-C', this.#folder, '.']);
    renameSync(`${file}.draft`, file);
    rmSync(this.#folder, { recursive: true });
    return statSync(file).size;
  }
}
