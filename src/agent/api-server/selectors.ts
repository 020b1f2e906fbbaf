/**
 * Field and label selectors, as far as clients of these kinds use them.
 * Source: Kubernetes "Labels and Selectors", "Field Selectors" (metadata.name and metadata.namespace for every kind).
 * @module
 */
import type { Stored } from './object-store.ts';
import { badRequest } from './status.ts';

export type Filter = (object: Stored) => boolean;

export const filterOf = (query: URLSearchParams): Filter => {
  const fields = fieldFilter(query.get('fieldSelector') ?? '');
  const labels = labelFilter(query.get('labelSelector') ?? '');
  return (object) => fields(object) && labels(object);
};

const parts = (text: string): string[] => text.split(',').filter((part) => part !== '');

const fieldFilter = (text: string): Filter => {
  const wanted = parts(text).map((part) => {
    const match = /^(metadata\.name|metadata\.namespace)(==|=|!=)(.*)$/.exec(part);
    if (match === null) throw badRequest(`field label not supported: ${part.split(/[!=]/)[0]}`);
    const [, field, operator, value = ''] = match;
    return { field, value, equal: operator !== '!=' };
  });
  return ({ metadata }) =>
    wanted.every(({ field, value, equal }) => {
      const actual = field === 'metadata.name' ? metadata.name : (metadata.namespace ?? '');
      return (actual === value) === equal;
    });
};

const labelFilter = (text: string): Filter => {
  const wanted = parts(text).map((part) => {
    const match = /^\s*(!?)([A-Za-z0-9_./-]+)\s*(?:(==|=|!=)\s*([A-Za-z0-9_.-]*))?\s*$/.exec(part);
    if (match === null) throw badRequest(`unable to parse requirement: ${part}`);
    const [, not = '', label = '', operator, value = ''] = match;
    return { label, operator, value, not: not === '!' };
  });
  return ({ metadata }) =>
    wanted.every(({ label, operator, value, not }) => {
      const actual = metadata.labels?.[label];
      if (operator === undefined) return (actual === undefined) === not;
      return (actual === value) === (operator !== '!=');
    });
};
