/**
 * The clients: who they are, whether they are there, and everything that can be done with one.
 * @module
 */
import { type ComponentChild, Fragment, h } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ClientJson } from '../client-json.ts';
import { ClientFile, type ShownFile } from './client-file.ts';
import { ClientForm } from './client-form.ts';
import { newKeys, newPresharedKey, withPrivateKey } from './client-keys.ts';
import { Dialog } from './dialog.ts';
import type { InterfaceClient } from './interface-client.ts';
import { ageText, rateText } from './words.ts';

interface ClientStatus {
  readonly name: string;
  readonly connected: boolean;
  readonly endpoint: string | null;
  readonly lastHandshake: string | null;
  readonly receivedRate: number;
  readonly sentRate: number;
}

type Open =
  | { readonly kind: 'add' }
  | { readonly kind: 'edit' | 'remove' | 'rotate'; readonly client: ClientJson }
  | { readonly kind: 'file'; readonly file: ShownFile };

const LOOK_MS = 3000;

export const ClientListView = ({ client }: { readonly client: InterfaceClient }): ComponentChild => {
  const [clients, setClients] = useState<readonly ClientJson[] | null>(null);
  const [statuses, setStatuses] = useState<readonly ClientStatus[]>([]);
  const [open, setOpen] = useState<Open | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [filter, setFilter] = useState('');
  const [readOnly, setReadOnly] = useState(false);
  const look = async (): Promise<void> => {
    setClients(await client.ask<readonly ClientJson[]>('/client'));
    setStatuses(await client.ask<readonly ClientStatus[]>('/status/clients'));
  };
  useEffect(() => {
    client
      .ask<{ readonly readOnly: boolean }>('/server/version')
      .then((server) => setReadOnly(server.readOnly))
      .catch(() => {}); // told by the next look
    const lookAgain = (): void => void look().catch((error: Error) => setFault(error.message));
    lookAgain();
    const timer = setInterval(lookAgain, LOOK_MS);
    return () => clearInterval(timer);
  }, []);
  /** Does it, says what went wrong, shows how it is now. */
  const perform = async (work: () => Promise<void>): Promise<void> => {
    try {
      setFault(null);
      await work();
      await look();
    } catch (error) {
      setFault((error as Error).message);
    }
  };
  const path = (name: string): string => `/client/${encodeURIComponent(name)}`;
  const showFile = async (name: string, privateKey: string | null): Promise<void> => {
    const file = await client.text(`${path(name)}/config`);
    const text = privateKey === null ? file : withPrivateKey(file, privateKey);
    setOpen({ kind: 'file', file: { name, text, hasKey: privateKey !== null } });
  };
  const close = (): void => setOpen(null);
  const shown = (clients ?? []).filter(({ name, email, tags, address }) =>
    [name, email ?? '', ...tags, ...address].some((text) =>
      text.toLowerCase().includes(filter.toLowerCase()),
    ),
  );
  const row = (each: ClientJson): ComponentChild => {
    const { name, tags, email, address, expires, allow } = each;
    const status = statuses.find((one) => one.name === name);
    return h(
      'tr',
      { key: name },
      h(
        'th',
        { scope: 'row' },
        name,
        tags.map((tag) => h('span', { key: tag, class: 'tag' }, tag)),
        email === null ? null : h('div', { class: 'soft' }, email),
      ),
      h('td', null, stateOf(each, status)),
      h('td', null, address.join(', ')),
      h('td', null, heardText(status)),
      h('td', null, status?.connected ? rateText(status.receivedRate + status.sentRate) : '–'),
      h('td', null, expires === null ? 'never' : new Date(expires).toLocaleString()),
      h('td', null, allow === null ? 'everywhere' : allow.join(', ')),
      readOnly ? null : actsOn(each),
    );
  };
  const actsOn = (each: ClientJson): ComponentChild => {
    const { name, enable } = each;
    return h(
      'td',
      { class: 'acts' },
      act(enable ? 'Disable' : 'Enable', name, () =>
        perform(async () => void (await client.ask(path(name), 'PATCH', { enable: !enable }))),
      ),
      act('Edit', name, () => setOpen({ kind: 'edit', client: each })),
      act('File', name, () => perform(() => showFile(name, null))),
      act('Rotate', name, () => setOpen({ kind: 'rotate', client: each })),
      act('Remove', name, () => setOpen({ kind: 'remove', client: each })),
    );
  };
  return h(
    'div',
    { class: 'tables' },
    readOnly || !client.hasToken ? h('p', { class: 'hint' }, readOnly ? READ_ONLY : NO_TOKEN) : null,
    h(
      'div',
      { class: 'bar' },
      h('h2', null, 'Clients'),
      readOnly
        ? null
        : h(
            'button',
            { class: 'primary', disabled: !client.hasToken, onClick: () => setOpen({ kind: 'add' }) },
            'Add a client',
          ),
      h(
        'label',
        { class: 'filter' },
        'Filter ',
        h('input', {
          type: 'search',
          value: filter,
          onInput: (event: Event) => setFilter((event.currentTarget as HTMLInputElement).value),
        }),
      ),
    ),
    fault === null ? null : h('p', { class: 'hint bad', role: 'alert' }, fault),
    clients === null
      ? h('p', null, 'Reading …')
      : clients.length === 0
        ? h('p', null, 'There are none yet: laptops, phones and routers that shall reach the cluster.')
        : h(
            'div',
            { class: 'scroll' },
            h(
              'table',
              { class: 'clients' },
              h(
                'thead',
                null,
                h(
                  'tr',
                  null,
                  (readOnly ? HEAD : [...HEAD, 'Actions']).map((text) =>
                    h('th', { key: text, scope: 'col' }, text),
                  ),
                ),
              ),
              h('tbody', null, shown.map(row)),
            ),
          ),
    open === null ? null : dialogOf(open),
  );

  function dialogOf(what: Open): ComponentChild {
    switch (what.kind) {
      case 'add':
        return h(ClientForm, {
          client: null,
          onClose: close,
          onSave: async ({ wantsPresharedKey, ...terms }) => {
            const keys = newKeys();
            const secret = wantsPresharedKey ? { presharedKey: newPresharedKey() } : {};
            await client.ask('/client', 'POST', { ...terms, ...secret, publicKey: keys.publicKey });
            await look();
            await showFile(terms.name, keys.privateKey);
          },
        });
      case 'edit':
        return h(ClientForm, {
          client: what.client,
          onClose: close,
          onSave: async ({ wantsPresharedKey, name, ...terms }) => {
            await client.ask(path(name), 'PATCH', terms);
            await look();
            close();
          },
        });
      case 'rotate':
        return h(
          Dialog,
          { title: `A new key for ${what.client.name}`, onClose: close },
          h('p', null, 'It gets a new key and a new file. The old file stops working at once.'),
          confirm('Rotate', close, () =>
            perform(async () => {
              const keys = newKeys();
              const secret = what.client.hasPresharedKey ? { presharedKey: newPresharedKey() } : {};
              await client.ask(path(what.client.name), 'PATCH', { publicKey: keys.publicKey, ...secret });
              await showFile(what.client.name, keys.privateKey);
            }),
          ),
        );
      case 'remove':
        return h(
          Dialog,
          { title: `Remove ${what.client.name}`, onClose: close },
          h('p', null, 'It loses its way into the mesh at once, and its address becomes free.'),
          confirm('Remove', close, () =>
            perform(async () => {
              await client.ask(path(what.client.name), 'DELETE');
              close();
            }),
          ),
        );
      case 'file':
        return h(ClientFile, { file: what.file, onClose: close });
    }
  }
};

const HEAD = ['Client', 'State', 'Address', 'Handshake', 'Rate', 'Expires', 'May go'];
const NO_TOKEN = 'To change anything, open the address with the token that kilowire ui printed.';
const READ_ONLY =
  'An agent serves this page, and its account may change no client: kilowire ui and kilowire client do, with yours.';

const act = (text: string, name: string, onClick: () => void): ComponentChild =>
  h('button', { key: text, class: 'small', 'aria-label': `${text} ${name}`, onClick }, text);

const confirm = (text: string, onClose: () => void, onYes: () => void): ComponentChild =>
  h(
    'div',
    { class: 'buttons' },
    h('button', { onClick: onClose }, 'Cancel'),
    h('button', { class: 'primary', onClick: onYes }, text),
  );

const stateOf = ({ state, faults }: ClientJson, status: ClientStatus | undefined): ComponentChild => {
  const isThere = state === 'active' && status?.connected === true;
  const grade = isThere ? 'fresh' : state === 'active' ? 'idle' : state === 'disabled' ? 'unknown' : 'broken';
  return h(
    Fragment,
    null,
    h('span', { class: `dot ${grade}`, 'aria-hidden': 'true' }),
    isThere ? 'connected' : state === 'active' ? 'away' : state,
    faults.map((why) => h('div', { key: why, class: 'soft' }, why)),
  );
};

const heardText = (status: ClientStatus | undefined): string => {
  if (status === undefined || status.lastHandshake === null) return '–';
  return `${ageText((Date.now() - Date.parse(status.lastHandshake)) / 1000)} ago${status.endpoint === null ? '' : ` from ${status.endpoint}`}`;
};
