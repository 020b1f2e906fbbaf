/**
 * Colours and type of the mesh picture, light and dark.
 * Source: CSS Media Queries 5 (prefers-color-scheme); no custom properties, since few SVG programs know them.
 * @module
 */

/** One per cloud, in turn; mid-tones that stand on white and on near-black. */
export const ACCENTS: readonly string[] = [
  '#e07b2e',
  '#2f7fe6',
  '#2f9e58',
  '#9257d8',
  '#dd5252',
  '#1593a5',
  '#b98a12',
  '#cf4a93',
];

const accents = ACCENTS.map(
  (colour, i) => `
.accent${i} .cloud { fill: ${colour}; stroke: ${colour}; }
.accent${i} .glyph, .accent${i} .dot { fill: ${colour}; }
.accent${i} .ring, .accent${i} .private { stroke: ${colour}; }
.accent${i} .leads { stroke: ${colour}; }
.accent${i} .badge { fill: ${colour}; }`,
).join('');

export const STYLE = `
text { font-family: Inter, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1c2430; }
.ground { fill: #f6f7fa; }
.title { font-size: 24px; font-weight: 700; }
.facts, .legend { font-size: 13px; fill: #66707f; }
.cloud { fill-opacity: .08; stroke-opacity: .42; stroke-width: 1.5; }
.cloud-name { font-size: 16px; font-weight: 600; }
.card { fill: #ffffff; stroke: #d5dae2; stroke-width: 1.2; }
.card.leads { stroke-width: 1.6; }
.ring { fill: none; stroke-width: 2; }
.name { font-size: 15px; font-weight: 600; }
.badge { font-size: 11px; font-weight: 600; text-anchor: end; letter-spacing: .04em; }
.key { font-size: 12px; fill: #7b8594; }
.value { font-family: "JetBrains Mono", "DejaVu Sans Mono", Consolas, monospace; font-size: 13px; fill: #333d4b; }
.value.faint { fill: #7b8594; }
.centred { text-anchor: middle; }
.tunnel { fill: none; stroke: #4a6fa5; stroke-width: 2; stroke-opacity: .62; stroke-linecap: round; }
.relayed { fill: none; stroke: #4a6fa5; stroke-width: 2; stroke-opacity: .62; stroke-dasharray: 2 7; stroke-linecap: round; }
.tunnel:hover, .relayed:hover, .peer-tunnel:hover { stroke-width: 4; stroke-opacity: 1; }
.private { fill: none; stroke-width: 1.8; stroke-dasharray: .1 5; stroke-linecap: round; }
.peer-tunnel { fill: none; stroke: #7b8594; stroke-width: 1.5; stroke-dasharray: 6 5; stroke-opacity: .6; }
.peer { fill: #ffffff; stroke: #9aa4b2; stroke-width: 1.3; stroke-dasharray: 6 4; }
.hub { fill: #ffffff; stroke: #4a6fa5; stroke-width: 2; }
.hub-count { font-size: 20px; font-weight: 700; text-anchor: middle; }
.hub-word { font-size: 12px; fill: #66707f; text-anchor: middle; }
${accents}
@media (prefers-color-scheme: dark) {
text { fill: #e7ecf3; }
.ground { fill: #0f1319; }
.facts, .legend, .hub-word, .key, .value.faint { fill: #93a0b1; }
.cloud { fill-opacity: .13; stroke-opacity: .55; }
.card, .peer, .hub { fill: #1a212b; }
.card { stroke: #343e4c; }
.value { fill: #cfd8e3; }
.tunnel, .relayed, .hub { stroke: #86aee6; }
.peer, .peer-tunnel { stroke: #8592a4; }
${ACCENTS.map((colour, i) => `.accent${i} .leads { stroke: ${colour}; }`).join('\n')}
}
`;
