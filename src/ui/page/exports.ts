/**
 * The map as files: SVG and PNG as it is shown, DOT and JSON as programs want it.
 * @module
 */
import type { MeshSnapshot } from '../mesh-snapshot.ts';
import type { InterfaceClient } from './interface-client.ts';

export type ExportFormat = 'svg' | 'png' | 'dot' | 'json';

export const EXPORT_FORMATS: readonly ExportFormat[] = ['svg', 'png', 'dot', 'json'];

const SVG = 'http://www.w3.org/2000/svg';
/** What of a shape's look the style sheet decides. */
const LOOKS = [
  'fill',
  'fill-opacity',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'stroke-linecap',
  'opacity',
  'font-family',
  'font-size',
  'font-weight',
  'paint-order',
  'display',
];
const PIXELS = 2;

export const exportMap = async (
  format: ExportFormat,
  snapshot: MeshSnapshot,
  client: InterfaceClient,
): Promise<void> => save(await fileOf(format, snapshot, client), `mesh.${format}`);

const fileOf = async (
  format: ExportFormat,
  snapshot: MeshSnapshot,
  client: InterfaceClient,
): Promise<Blob> => {
  switch (format) {
    case 'json':
      return new Blob([`${JSON.stringify(snapshot, null, 2)}\n`], { type: 'application/json' });
    case 'dot':
      return new Blob([await client.text('/mesh/graph?format=dot')], { type: 'text/vnd.graphviz' });
    case 'svg':
      return new Blob([svgText()], { type: 'image/svg+xml' });
    case 'png':
      return await rasterised(svgText());
  }
};

/** A copy that needs no style sheet. */
const svgText = (): string => {
  const shown = document.querySelector<SVGSVGElement>('#mesh-map');
  if (shown === null) throw new Error('Show the map first.');
  const copy = shown.cloneNode(true) as SVGSVGElement;
  const [from, to] = [shown, copy].map((svg) => [...svg.querySelectorAll<SVGElement>('*')]);
  for (const [index, element] of (from ?? []).entries()) {
    const style = getComputedStyle(element);
    for (const look of LOOKS) to?.[index]?.setAttribute(look, style.getPropertyValue(look));
  }
  for (const extra of copy.querySelectorAll('.reach, .flow, .halo')) extra.remove();
  const { x, y, width, height } = shown.viewBox.baseVal;
  copy.setAttribute('xmlns', SVG);
  copy.setAttribute('width', String(Math.round(width)));
  copy.setAttribute('height', String(Math.round(height)));
  const ground = document.createElementNS(SVG, 'rect');
  for (const [name, value] of Object.entries({ x, y, width, height }))
    ground.setAttribute(name, String(value));
  ground.setAttribute('fill', getComputedStyle(document.body).backgroundColor);
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
};

const rasterised = async (svg: string): Promise<Blob> => {
  const url = URL.createObjectURL(new Blob([svg], { type: 'image/svg+xml' }));
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth * PIXELS;
    canvas.height = image.naturalHeight * PIXELS;
    canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve, reject) =>
      canvas.toBlob((blob) =>
        blob === null ? reject(new Error('The map could not be drawn.')) : resolve(blob),
      ),
    );
  } finally {
    URL.revokeObjectURL(url);
  }
};

/** Has the browser save it. */
export const save = (blob: Blob, name: string): void => {
  const url = URL.createObjectURL(blob);
  const anchor = document.createElement('a');
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
};
