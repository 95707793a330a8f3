// The script rpa-progress.js: the clients, the element <rpa-progress>, the bindings, and the queue of commands.
//
// A page may load it early, late or twice: the first load wins, and a name that the page itself uses is left alone. The
// options of commands and of the script tag are set as attributes of the element, so that options are read from these
// alone.

import { bind } from './bind.js';
import { follow } from './follow.js';
import { loadData } from './load-data.js';
import { safeUrl } from './safe-url.js';
import { defineElement } from './widget.js';
import './rpa-client.js';

const NAME = 'rpa-progress';
const PREFIX = 'data-rpa-';
const EVENT_PREFIX = 'event:';
const DATA_TRIES = 2; // in addition to the first one
const PATIENCE_MS = 3000; // how long to wait for the data file; then the widget begins without it
const script = document.currentScript; // read now: null once the script has run
let current; // stops following the latest run; the page's bound elements show that run

/** Copy the script tag's data-rpa-* attributes to *node*, except those that *node* has itself. */
function inheritAttributes(node) {
  for (const { name, value } of script?.attributes ?? []) {
    const own = name.slice(PREFIX.length);
    if (name.startsWith(PREFIX) && !node.hasAttribute(own)) node.setAttribute(own, value);
  }
}

/** Set the session of *node* whenever the window gets an event of *type*, which the page chose. */
function listenForSession(node, type) {
  if (!type || node.listens === type) return;
  node.listens = type;
  addEventListener(type, ({ detail }) => {
    const sessionId = detail?.session_id ?? detail?.sessionId ?? detail;
    if (sessionId) node.setAttribute('session-id', sessionId);
  });
}

/** Follow the run that an element asks for, and return a function that stops that; undefined if it asks for none. */
function begin(node, draw) {
  inheritAttributes(node);
  const get = (name) => node.getAttribute(name) ?? undefined;
  listenForSession(node, get('session-from')?.slice(EVENT_PREFIX.length));
  const sessionId = get('session-id') || new URLSearchParams(location.search).get(get('session-param'));
  if (!node.isConnected || !(sessionId || node.hasAttribute('demo'))) return undefined;
  const drawAll = (view) => {
    draw(view);
    if (end === current) bind(document, view);
  };
  const redirect = () => {
    const address = safeUrl(get('redirect-on-success'));
    if (address) location.replace(address); // replace(): going back must not redirect the visitor again
  };
  const end = follow(sessionId, get, node, drawAll, redirect);
  current = end;
  return end;
}

/** Run the command ['start', {sessionId, …}] on the page's first <rpa-progress>, else on a new one; ignore others. */
function run([name, options]) {
  if (name !== 'start') return;
  const node = document.querySelector(NAME) ?? document.body.appendChild(document.createElement(NAME));
  for (const key in options) node.setAttribute(key.replace(/[A-Z]/g, '-$&'), options[key]);
}

/** Define the element, run the commands, and follow the session that the script tag names. */
function start(queue) {
  defineElement(NAME, begin);
  queue.forEach(run);
  queue.push = run;
  const { rpaSessionId, rpaSessionParam, rpaSessionFrom, rpaDemo } = script?.dataset ?? {};
  const isNamed = [rpaSessionId, rpaSessionParam, rpaSessionFrom, rpaDemo].some((value) => value !== undefined);
  // If only the script tag names a session, a hidden element follows it for the page's own bound elements.
  if (isNamed && !document.querySelector(NAME)) run(['start', { hidden: '' }]);
}

/** Apply the loaded style to all existing elements. */
const dressAll = () => document.querySelectorAll(NAME).forEach((node) => node.dress?.());

/** Return the command queue window.RPAProgress; an array of our own if the page uses that name for something else. */
function commandQueue() {
  window.RPAProgress ??= [];
  return Array.isArray(window.RPAProgress) ? window.RPAProgress : [];
}

/** Start once the page is parsed and the data file was tried once; wait at most PATIENCE_MS for the file. */
async function startInTime(queue) {
  const isParsed = new Promise((resolve) => {
    addEventListener('DOMContentLoaded', resolve);
    if (document.readyState !== 'loading') resolve();
  });
  const isPatienceOver = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  await Promise.race([loadData(script?.src, DATA_TRIES, dressAll), isPatienceOver]);
  await isParsed;
  start(queue);
}

const queue = commandQueue();
if (!queue.isTaken) {
  queue.isTaken = true; // a second load of this script then leaves the queue alone
  startInTime(queue);
}
