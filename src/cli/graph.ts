/**
 * `kilowire graph`: the mesh as a picture, or as text that others draw.
 * Source: `kgctl graph`.
 * @module
 */
import { writeFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { Command, Option } from 'commander';
import { toDot } from '../routing/dot.ts';
import { toMermaid } from '../routing/mermaid.ts';
import { meshJson } from '../routing/mesh-json.ts';
import { toPng } from '../routing/png.ts';
import { toSvg } from '../routing/svg.ts';
import type { Topology } from '../routing/topology.ts';
import { type ClusterFlags, openMesh, portOption, withCluster } from './cluster-options.ts';
import { print } from './output.ts';

const DRAWINGS: Readonly<Record<string, (topology: Topology) => string | Uint8Array>> = {
  // The empty line at the end is kgctl's.
  dot: (topology) => `${toDot(topology)}\n`,
  svg: (topology) => toSvg(topology),
  png: (topology) => toPng(topology, (bytes) => deflateSync(bytes, { level: 9 })),
  mermaid: toMermaid,
  json: (topology) => `${JSON.stringify(meshJson(topology), null, 2)}\n`,
};

export interface GraphFlags extends ClusterFlags {
  readonly format: string;
  readonly file?: string;
}

const draw = async (flags: GraphFlags): Promise<void> => {
  if (flags.format === 'png' && flags.file === undefined && process.stdout.isTTY)
    throw new Error('A terminal shows no PNG: write it to a file (-f mesh.png), or pipe it on.');
  const { topologyFrom } = await import('../admin/mesh.ts');
  const topology = topologyFrom(await openMesh(flags));
  const drawing = DRAWINGS[flags.format]?.(topology) ?? '';
  if (flags.file !== undefined) writeFileSync(flags.file, drawing);
  else if (typeof drawing === 'string') print(drawing);
  else process.stdout.write(drawing);
};

export const graphCommand = (): Command =>
  withCluster(
    new Command('graph')
      .description('draw the mesh: locations, nodes, leaders, tunnels, peers')
      .addOption(
        new Option('-o, --format <format>', 'what to draw it in')
          .choices(Object.keys(DRAWINGS))
          .default('dot'),
      )
      .option('-f, --file <file>', 'write it there, not to standard output')
      .addOption(portOption().hideHelp())
      .allowExcessArguments(false),
  )
    .addHelpText(
      'after',
      `
No Graphviz is needed. dot is what kgctl prints, for who has it; mermaid is drawn by GitHub and GitLab.

Examples:
  kilowire graph -o svg -f mesh.svg
  kilowire graph -o png -f mesh.png
  kilowire graph -o json | jq -r '.segments[] | "\\(.location) \\(.leader)"'
  kilowire graph | circo -Tsvg > mesh.svg`,
    )
    .action((flags: GraphFlags) => draw(flags));
