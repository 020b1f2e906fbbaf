/**
 * Where the page begins.
 * @module
 */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { h, render } from 'preact';
import { App } from './app.ts';
import { InterfaceClient, takeToken } from './interface-client.ts';

const place = document.querySelector('#app');
if (place !== null) render(h(App, { client: new InterfaceClient(takeToken()) }), place);
