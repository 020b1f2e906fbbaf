/**
 * Name, terms and extras of a client, new or not.
 * @module
 */
import { type ComponentChild, type ComponentChildren, h } from 'preact';
import { useState } from 'preact/hooks';
import type { ClientJson } from '../client-json.ts';
import { Dialog } from './dialog.ts';

export interface ClientTermsJson {
  readonly name: string;
  readonly email: string | null;
  readonly tags: readonly string[];
  readonly expires: string | null;
  readonly allow: readonly string[] | null;
  readonly persistentKeepalive: number;
  readonly wantsPresharedKey: boolean;
}

export interface ClientFormProps {
  /** Null: a new one. */
  readonly client: ClientJson | null;
  readonly onClose: () => void;
  readonly onSave: (terms: ClientTermsJson) => Promise<void>;
}

const DAY = 86_400_000;
const KEEPALIVE_SECONDS = 25;
const SPANS: readonly (readonly [string, number | null])[] = [
  ['Never', null],
  ['In a day', DAY],
  ['In a week', 7 * DAY],
  ['In 30 days', 30 * DAY],
  ['In a year', 365 * DAY],
];

/** RFC 3339 without fractions, as the Peer has it. */
const stamp = (time: number): string => new Date(time).toISOString().replace(/\.\d+Z$/, 'Z');

const words = (text: string): string[] =>
  text
    .split(/[\s,]+/)
    .map((word) => word.trim())
    .filter((word) => word !== '');

export const ClientForm = ({ client, onClose, onSave }: ClientFormProps): ComponentChild => {
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string): string => String(data.get(name) ?? '').trim();
    const allow = words(text('allow'));
    const span = text('expires');
    setBusy(true);
    setFault(null);
    onSave({
      name: client?.name ?? text('name'),
      email: text('email') || null,
      tags: words(text('tags')),
      expires:
        span === 'keep' ? (client?.expires ?? null) : span === '' ? null : stamp(Date.now() + Number(span)),
      allow: allow.length === 0 ? null : allow,
      persistentKeepalive: Number(text('keepalive')),
      wantsPresharedKey: data.get('presharedKey') !== null,
    }).catch((error: Error) => {
      setFault(error.message);
      setBusy(false);
    });
  };
  return h(
    Dialog,
    { title: client === null ? 'Add a client' : `Edit ${client.name}`, onClose },
    h(
      'form',
      { onSubmit: submit },
      client !== null
        ? null
        : field(
            'Name',
            h('input', {
              name: 'name',
              required: true,
              pattern: '[a-z0-9]([a-z0-9.\\-]*[a-z0-9])?',
              title: 'lower-case letters, digits, "-" and "."',
              autocomplete: 'off',
              placeholder: 'laptop',
            }),
          ),
      field(
        'E-mail',
        h('input', { name: 'email', type: 'email', value: client?.email ?? '', autocomplete: 'off' }),
      ),
      field('Tags', h('input', { name: 'tags', value: client?.tags.join(', ') ?? '', autocomplete: 'off' })),
      field(
        'Expires',
        h(
          'select',
          { name: 'expires' },
          client?.expires == null
            ? null
            : h('option', { value: 'keep' }, `As it is: ${new Date(client.expires).toLocaleString()}`),
          SPANS.map(([text, span]) =>
            h('option', { key: text, value: span === null ? '' : String(span) }, text),
          ),
        ),
      ),
      field(
        'May go to',
        h('input', {
          name: 'allow',
          value: client?.allow?.join(', ') ?? '',
          placeholder: 'everywhere; or 10.42.0.0/16, default/web',
          autocomplete: 'off',
        }),
      ),
      field(
        'Keepalive, s',
        h('input', {
          name: 'keepalive',
          type: 'number',
          min: 0,
          max: 65_535,
          value: client?.persistentKeepalive ?? KEEPALIVE_SECONDS,
        }),
      ),
      client !== null
        ? null
        : h(
            'label',
            { class: 'check' },
            h('input', { type: 'checkbox', name: 'presharedKey' }),
            ' With a preshared key too (against quantum computers; it is kept in the cluster)',
          ),
      fault === null ? null : h('p', { class: 'hint bad', role: 'alert' }, fault),
      h(
        'div',
        { class: 'buttons' },
        h('button', { type: 'button', onClick: onClose }, 'Cancel'),
        h('button', { type: 'submit', class: 'primary', disabled: isBusy }, client === null ? 'Add' : 'Save'),
      ),
    ),
  );
};

const field = (label: string, control: ComponentChildren): ComponentChild =>
  h('label', { class: 'field' }, h('span', null, label), control);
