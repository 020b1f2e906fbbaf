/**
 * A client's file to take away: as a QR code for phones, to save, to copy. With its private key it is shown once, since
 * nobody else has it.
 * @module
 */
import { type ComponentChild, h } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { encode } from 'uqr';
import { Dialog } from './dialog.ts';
import { save } from './exports.ts';

export interface ShownFile {
  readonly name: string;
  readonly text: string;
  readonly hasKey: boolean;
}

export const ClientFile = ({
  file,
  onClose,
}: {
  readonly file: ShownFile;
  readonly onClose: () => void;
}): ComponentChild => {
  const [said, setSaid] = useState('');
  const { name, text, hasKey } = file;
  return h(
    Dialog,
    { title: `${name}.conf`, onClose },
    h(
      'p',
      { class: 'hint' },
      hasKey
        ? 'The private key was made here and is in no other place: save the file or scan the code before you close this.'
        : 'Its private key is only on the device: put it in the place of PRIVATE_KEY, or rotate the key to get a whole file.',
    ),
    hasKey ? h(Code, { text }) : null,
    h('pre', { tabindex: 0, 'aria-label': `The file of ${name}`, 'data-file': name }, text),
    h(
      'div',
      { class: 'buttons' },
      h('span', { role: 'status', class: 'soft' }, said),
      h(
        'button',
        {
          onClick: () =>
            navigator.clipboard
              .writeText(text)
              .then(() => setSaid('Copied.'))
              .catch(() => setSaid('The browser does not let us copy.')),
        },
        'Copy',
      ),
      h(
        'button',
        {
          class: 'primary',
          onClick: () => save(new Blob([text], { type: 'text/plain' }), `${name}.conf`),
        },
        'Save',
      ),
    ),
  );
};

/** Dark on light in both themes: that is what cameras read. */
const Code = ({ text }: { readonly text: string }): ComponentChild => {
  const code = useMemo(() => {
    try {
      return encode(text, { ecc: 'L', border: 3 });
    } catch {
      return null; // more than a QR code holds
    }
  }, [text]);
  if (code === null) return h('p', null, 'The file is too long for a QR code: save it.');
  const path = code.data
    .flatMap((cells, y) => cells.flatMap((isDark, x) => (isDark ? [`M${x} ${y}h1v1h-1z`] : [])))
    .join('');
  return h(
    'svg',
    {
      class: 'qr',
      viewBox: `0 0 ${code.size} ${code.size}`,
      role: 'img',
      'aria-label': 'QR code of the file',
    },
    h('rect', { width: code.size, height: code.size, fill: '#fff' }),
    h('path', { d: path, fill: '#000' }),
  );
};
