/**
 * The page: heading, views, and which moment of the mesh they show.
 * @module
 */
import { type ComponentChild, Fragment, h } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type MeshSnapshot, type SampleSummary, summaryOf } from '../mesh-snapshot.ts';
import { ClientListView } from './client-list-view.ts';
import { EXPORT_FORMATS, type ExportFormat, exportMap } from './exports.ts';
import type { FollowState, InterfaceClient } from './interface-client.ts';
import { MapView } from './map-view.ts';
import { MeshTable } from './mesh-table.ts';
import { SidePanel } from './side-panel.ts';
import { Timeline } from './timeline.ts';
import { GRADE_WORDS, type Grade, meshText } from './words.ts';

const VIEWS = ['Map', 'Table', 'Clients'] as const;
type View = (typeof VIEWS)[number];

const HOUR_MS = 3_600_000;
const SAMPLE_MS = 10_000;
const THEMES = ['auto', 'light', 'dark'] as const;
type Theme = (typeof THEMES)[number];

export const App = ({ client }: { readonly client: InterfaceClient }): ComponentChild => {
  const [{ snapshot, connected, fault }, setState] = useState<FollowState>({
    snapshot: null,
    connected: false,
    fault: null,
  });
  const [view, setView] = useState<View>('Map');
  const [chosen, setChosen] = useState<string | null>(null);
  const [said, setSaid] = useState('');
  useEffect(() => client.follow(setState), []);
  const past = usePast(client, snapshot);
  const shown = past.shown ?? snapshot;
  const news = useNews(snapshot);
  const save = (format: ExportFormat): void => {
    if (shown === null) return;
    exportMap(format, shown, client)
      .then(() => setSaid(`mesh.${format} is saved.`))
      .catch((error: Error) => setSaid(error.message));
  };
  return h(
    Fragment,
    null,
    h(
      'header',
      { class: 'top' },
      h('h1', null, logo(), 'Kilowire'),
      h('p', { class: 'facts' }, shown === null ? '' : meshText(shown)),
      h(
        'nav',
        { 'aria-label': 'Views' },
        VIEWS.map((name) =>
          h(
            'button',
            { key: name, 'aria-current': view === name ? 'page' : undefined, onClick: () => setView(name) },
            name,
          ),
        ),
      ),
      h(Exports, { onSave: save, hasMap: view === 'Map' }),
      h(ThemeButton, null),
      h(
        'span',
        { class: connected ? 'link on' : 'link off', role: 'status' },
        connected ? 'live' : 'not connected',
      ),
    ),
    h('p', { class: 'spoken', 'aria-live': 'polite' }, said || news),
    fault === null ? null : h('p', { class: 'banner', role: 'alert' }, fault),
    shown?.trouble == null ? null : h('p', { class: 'banner', role: 'alert' }, shown.trouble),
    shown === null || (shown.granularity === '' && view !== 'Clients')
      ? h('main', { class: 'empty' }, emptyText(shown, fault))
      : view === 'Map'
        ? h(
            'main',
            { class: 'stage' },
            h(
              'div',
              { class: 'picture' },
              h(MapView, { snapshot: shown, chosen, onChoose: setChosen }),
              h(Legend, null),
              h(Timeline, { samples: past.samples, position: past.position, onPosition: past.show }),
            ),
            h(SidePanel, {
              snapshot: shown,
              chosen,
              client,
              isLive: past.position === null,
              onChoose: setChosen,
            }),
          )
        : h(
            'main',
            null,
            view === 'Table' ? h(MeshTable, { snapshot: shown }) : h(ClientListView, { client }),
          ),
  );
};

const emptyText = (shown: MeshSnapshot | null, fault: string | null): string =>
  shown !== null ? 'There is no mesh to show.' : fault === null ? 'Reading the cluster …' : '';

/** Samples of the last hour: those the server has, then ours; and the one that is looked at. */
const usePast = (client: InterfaceClient, snapshot: MeshSnapshot | null) => {
  const [samples, setSamples] = useState<readonly SampleSummary[]>([]);
  const [position, setPosition] = useState<number | null>(null);
  const [shown, setShown] = useState<MeshSnapshot | null>(null);
  const wanted = useRef(0);
  useEffect(() => {
    client
      .ask<readonly SampleSummary[]>('/mesh/history')
      .then(setSamples)
      .catch(() => {}); // told by the stream
  }, []);
  useEffect(() => {
    if (snapshot === null || snapshot.granularity === '' || position !== null) return;
    setSamples((before) =>
      snapshot.at - (before.at(-1)?.at ?? 0) < SAMPLE_MS
        ? before
        : [...before.filter(({ at }) => snapshot.at - at < HOUR_MS), summaryOf(snapshot)],
    );
  }, [snapshot]);
  const show = (next: number | null): void => {
    setPosition(next);
    const turn = ++wanted.current;
    const sample = next === null ? undefined : samples[next];
    if (sample === undefined) {
      setShown(null);
      return;
    }
    client
      .ask<MeshSnapshot>(`/mesh/history/${sample.at + SAMPLE_MS / 2}`)
      .then((past) => {
        if (wanted.current === turn) setShown(past);
      })
      .catch(() => {}); // the stream says what is wrong
  };
  return { samples, position, shown: position === null ? null : shown, show };
};

/** What came and went among the faults, for who cannot see it. */
const useNews = (snapshot: MeshSnapshot | null): string => {
  const before = useRef<ReadonlySet<string> | null>(null);
  const last = useRef('');
  return useMemo(() => {
    if (snapshot === null) return last.current;
    const faults = new Set(
      snapshot.problems.filter(({ severity }) => severity === 'fault').map(({ what }) => what),
    );
    const known = before.current;
    before.current = faults;
    if (known === null) return last.current;
    const came = [...faults].filter((what) => !known.has(what));
    const went = known.size - (faults.size - came.length);
    if (came.length > 0) last.current = came.slice(0, 3).join(' ');
    else if (went > 0)
      last.current = faults.size === 0 ? 'Nothing is wrong any more.' : `${went} faults are over.`;
    return last.current;
  }, [snapshot]);
};

const Exports = ({
  onSave,
  hasMap,
}: {
  readonly onSave: (format: ExportFormat) => void;
  readonly hasMap: boolean;
}): ComponentChild =>
  h(
    'label',
    { class: 'exports' },
    'Save as ',
    h(
      'select',
      {
        value: '',
        onChange: (event: Event) => {
          const select = event.currentTarget as HTMLSelectElement;
          const format = EXPORT_FORMATS.find((name) => name === select.value);
          select.value = '';
          if (format !== undefined) onSave(format);
        },
      },
      h('option', { value: '' }, '…'),
      EXPORT_FORMATS.map((format) =>
        h(
          'option',
          { key: format, value: format, disabled: !hasMap && (format === 'svg' || format === 'png') },
          format.toUpperCase(),
        ),
      ),
    ),
  );

const ThemeButton = (): ComponentChild => {
  const [theme, setTheme] = useState<Theme>(
    () => THEMES.find((name) => name === localStorage.getItem('kilowire-theme')) ?? 'auto',
  );
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem('kilowire-theme', theme);
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? 'auto';
  return h(
    'button',
    { class: 'theme', onClick: () => setTheme(next), title: `Colours: ${theme}; change to ${next}` },
    theme === 'auto' ? '◐' : theme === 'light' ? '☀' : '☾',
    h('span', { class: 'spoken' }, `Colours: ${theme}`),
  );
};

const GRADES: readonly Grade[] = ['fresh', 'ageing', 'idle', 'relayed', 'broken', 'unknown'];

const Legend = (): ComponentChild =>
  h(
    'ul',
    { class: 'legend', 'aria-label': 'What the colours of tunnels mean' },
    GRADES.map((grade) =>
      h(
        'li',
        { key: grade },
        h(
          'svg',
          { viewBox: '0 0 28 6', 'aria-hidden': 'true' },
          h('g', { class: `tunnel ${grade}` }, h('path', { class: 'line', d: 'M1 3H27', 'stroke-width': 3 })),
        ),
        GRADE_WORDS[grade],
      ),
    ),
    h('li', null, h('span', { class: 'key', 'aria-hidden': 'true' }, '★'), 'leader'),
    h('li', null, 'the thicker, the more traffic'),
  );

const logo = (): ComponentChild =>
  h(
    'svg',
    { class: 'logo', viewBox: '0 0 24 24', 'aria-hidden': 'true' },
    h('path', { d: 'M5 6L19 5L12 19ZM5 6L12 19', class: 'wire' }),
    h('circle', { cx: 5, cy: 6, r: 3 }),
    h('circle', { cx: 19, cy: 5, r: 3 }),
    h('circle', { cx: 12, cy: 19, r: 3 }),
  );
