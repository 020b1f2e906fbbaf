/**
 * The DOT text, byte for byte, and Graphviz's own opinion of it.
 * @module
 */

import { Graphviz } from '@hpcc-js/wasm-graphviz';
import { describe, expect, test } from 'vitest';
import { toDot } from '../../../src/routing/dot.ts';
import { fourClouds, lookFrom, node, peer, twoRegions } from './clusters.ts';

const laptop = peer('laptop', ['10.5.0.1/32']);

describe('the text', () => {
  test('two regions and a laptop, as kgctl prints them', () => {
    expect(toDot(lookFrom('eu-1', 'location', { ...twoRegions, peers: [laptop] }))).toBe(
      String.raw`digraph kilo {
	label="10.4.0.0/16";
	labelloc=t;
	outputorder=nodesfirst;
	overlap=false;
	"eu-1"->"eu-2"[ dir=both ];
	"eu-1"->"eu-3"[ dir=both ];
	"us-1"->"us-2"[ dir=both ];
	"us-1"->"us-3"[ dir=both ];
	"eu-1"->"us-1"[ dir=both ];
	"eu-1"->"laptop"[ dir=both, style=dashed ];
	"us-1"->"laptop"[ dir=both, style=dashed ];
	subgraph "cluster_location_location:eu" {
	label="location:eu";
	style="dashed,rounded";
	"eu-1" [ label="location:eu\neu-1\n10.42.0.0/24\n10.1.0.1\n10.4.0.1\n203.0.113.1:51820", rank=1, shape=ellipse ];
	"eu-2" [ label="location:eu\neu-2\n10.42.1.0/24\n10.1.0.2", shape=ellipse ];
	"eu-3" [ label="location:eu\neu-3\n10.42.2.0/24\n10.1.0.3", shape=ellipse ];

}
;
	subgraph "cluster_location_location:us" {
	label="location:us";
	style="dashed,rounded";
	"us-1" [ label="location:us\nus-1\n10.42.3.0/24\n10.2.0.1\n10.4.0.2\n198.51.100.1:51820", rank=1, shape=ellipse ];
	"us-2" [ label="location:us\nus-2\n10.42.4.0/24\n10.2.0.2", shape=ellipse ];
	"us-3" [ label="location:us\nus-3\n10.42.5.0/24\n10.2.0.3", shape=ellipse ];

}
;
	subgraph "cluster_peers" {
	label="peers";
	style="dashed,rounded";
	"laptop" [ label="laptop\n
", shape=ellipse ];

}
;

}
`,
    );
  });

  test('the box for Peers is there when there are none', () => {
    const dot = toDot(lookFrom('ali-1', 'full', fourClouds));
    expect(dot).toContain('\tsubgraph "cluster_location_node:ali-1" {\n');
    expect(dot).toContain(
      '\tsubgraph "cluster_peers" {\n\tlabel="peers";\n\tstyle="dashed,rounded";\n\n}\n;\n\n}\n',
    );
  });

  test('cross: one box per location, neighbours joined by dotted lines without arrows', () => {
    const dot = toDot(lookFrom('eu-1', 'cross', twoRegions)).split('\n');
    expect(dot.filter((line) => line.includes('subgraph'))).toEqual([
      '\tsubgraph "cluster_location_location:eu" {',
      '\tsubgraph "cluster_location_location:us" {',
      '\tsubgraph "cluster_peers" {',
    ]);
    expect(dot).toContain('\t"eu-2"->"eu-3"[ arrowhead=none, arrowtail=none, dir=both, style=dotted ];');
    expect(dot).toContain('\t"eu-3"->"us-1"[ dir=both ];');
    expect(dot.filter((line) => line.includes('->'))).toHaveLength(15);
    expect(dot.filter((line) => line.includes('rank=1'))).toHaveLength(6);
  });
});

describe('whatever a location is called, it is a graph', () => {
  test.each(['a "quoted" place', 'back\\slash', 'ends in \\', 'two\nlines', '}; }', '雲', '<b>html</b>'])(
    '%j',
    async (location) => {
      const { nodes } = fourClouds;
      const odd = node({
        name: 'odd',
        location,
        endpoint: '8.8.8.8:1',
        internalIP: '10.9.0.1/24',
        podCIDR: '10.42.9.0/24',
      });
      const dot = toDot(lookFrom('odd', 'location', { nodes: [...nodes, odd] }));
      const graphviz = await Graphviz.load();
      const drawn = JSON.parse(graphviz.layout(dot, 'json', 'dot'));
      const drawnNodes = drawn.objects.filter(
        (object: { _gvid: number; nodes?: unknown; name: string }) =>
          !('nodes' in object) && !object.name.startsWith('cluster'),
      );
      expect(drawnNodes.map((object: { name: string }) => object.name).toSorted()).toEqual([
        'ali-1',
        'aws-1',
        'az-1',
        'gcp-1',
        'odd',
      ]);
      const label = drawnNodes.find((object: { name: string }) => object.name === 'odd').label as string;
      expect(
        label.startsWith(`location:${location.replace('\\', '\\\\').replace('\n', '\\n')}\\nodd\\n`),
      ).toBe(true);
    },
  );
});
