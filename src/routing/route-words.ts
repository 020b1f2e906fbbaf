/**
 * Routes and rules as ip(8) writes them.
 * Source: ip-route(8), ip-rule(8).
 * @module
 */

import { formatAddress, formatCidr } from '../noise/ip.ts';
import { MAIN_TABLE, type Route, type Rule } from './routes.ts';

export const routeWords = ({ destination, via, device, source, onlink, table }: Route): string =>
  [
    formatCidr(destination),
    ...(via === undefined ? [] : [`via ${formatAddress(via)}`]),
    `dev ${device}`,
    ...(table === MAIN_TABLE ? [] : [`table ${table}`]),
    ...(source === undefined ? [] : [`src ${formatAddress(source)}`]),
    ...(onlink ? ['onlink'] : []),
  ].join(' ');

export const ruleWords = ({ from, to, inputDevice, table }: Rule): string =>
  [
    `from ${from === undefined ? 'all' : formatCidr(from)}`,
    `to ${formatCidr(to)}`,
    ...(inputDevice === undefined ? [] : [`iif ${inputDevice}`]),
    `lookup ${table}`,
  ].join(' ');
