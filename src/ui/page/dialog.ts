/**
 * A modal window; Escape closes it, the focus stays in it and goes back where it was.
 * Source: WHATWG HTML, the dialog element.
 * @module
 */
import { type ComponentChild, type ComponentChildren, h } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

export const Dialog = ({
  title,
  onClose,
  children,
}: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}): ComponentChild => {
  const element = useRef<HTMLDialogElement | null>(null);
  useEffect(() => {
    element.current?.showModal();
    return () => element.current?.close();
  }, []);
  return h(
    'dialog',
    { ref: element, 'aria-labelledby': 'dialog-title', onClose, onCancel: onClose },
    h(
      'header',
      { class: 'dialog-head' },
      h('h2', { id: 'dialog-title' }, title),
      h('button', { class: 'plain', onClick: onClose, 'aria-label': 'Close' }, '✕'),
    ),
    children,
  );
};
