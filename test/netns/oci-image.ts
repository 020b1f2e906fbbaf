/**
 * A container image in docker's archive format, made of a root file system with tar alone.
 * Source: moby's image specification v1.2, "Combined image JSON + filesystem changeset format".
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

const architectures: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Writes `folder`/image.tar, and answers its path. */
export function makeImage(folder: string, rootfs: string, name: string, command: readonly string[]): string {
  const parts = join(folder, 'image');
  mkdirSync(join(parts, 'layer'), { recursive: true });
  execFileSync('tar', ['-C', rootfs, '--numeric-owner', '-cf', join(parts, 'layer/layer.tar'), '.']);
  const config = JSON.stringify({
    architecture: architectures[process.arch] ?? process.arch,
    os: 'linux',
    config: { Env: ['PATH=/bin'], Entrypoint: command },
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(readFileSync(join(parts, 'layer/layer.tar')))}`] },
    history: [{ created_by: 'test' }],
  });
  const configName = `${sha256(config)}.json`;
  writeFileSync(join(parts, configName), config);
  const manifest = [{ Config: configName, RepoTags: [name], Layers: ['layer/layer.tar'] }];
  writeFileSync(join(parts, 'manifest.json'), JSON.stringify(manifest));
  const archive = join(folder, 'image.tar');
  execFileSync('tar', ['-C', parts, '-cf', archive, configName, 'manifest.json', 'layer/layer.tar']);
  return archive;
}
