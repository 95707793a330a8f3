// The script rpa-progress.js: the clients, the element <rpa-progress>, the bindings, and the queue of commands.
//
// Safe to load twice, late, early, and beside anything: the first one wins, a name that is taken is left alone. What a
// command or the script tag asks for becomes attributes of the element, so those are the only options there are.

import { bind } from './bind.js';
import { follow } from './follow.js';
import { loadData } from './load-data.js';
import { safeUrl } from './safe-url.js';
import { defineElement } from './widget.js';
import './rpa-client.js';

const NAME = 'rpa-progress';
const PREFIX = 'data-rpa-';
const EVENT_PREFIX = 'event:';
const DATA_TRIES = 2; // after the first one
const PATIENCE_MS = 3000; // for the data file; after that the widget begins in plain Portuguese
const script = document.currentScript; // null once the script has run, so it is read here
let current; // what ends the run that bound elements follow, the one begun last

/** Give *node* the attributes of the script tag that it does not have itself. */
function inheritAttributes(node) {
  for (const { name, value } of script?.attributes ?? []) {
    const own = name.slice(PREFIX.length);
    if (name.startsWith(PREFIX) && !node.hasAttribute(own)) node.setAttribute(own, value);
  }
}

/** Take the session from an event on the window that the page names. */
function listenForSession(node, type) {
  if (!type || node.listens === type) return;
  node.listens = type;
  addEventListener(type, ({ detail }) => {
    const sessionId = detail?.session_id ?? detail?.sessionId ?? detail;
    if (sessionId) node.setAttribute('session-id', sessionId);
  });
}

/** Begin the run that an element asks for, and return what ends it; undefined while it has no session or is in no page. */
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
    if (address) location.replace(address); // whoever goes back is not to be sent here again
  };
  const end = follow(sessionId, get, node, drawAll, redirect);
  current = end;
  return end;
}

/** Run a command, ['start', {sessionId, …}]: the page's first element shows it, else a new one at the page's end. */
function run([name, options]) {
  if (name !== 'start') return;
  const node = document.querySelector(NAME) ?? document.body.appendChild(document.createElement(NAME));
  for (const key in options) node.setAttribute(key.replace(/[A-Z]/g, '-$&'), options[key]);
}

/** Define the element, run the commands, and follow what the script tag names. */
function start(queue) {
  defineElement(NAME, begin);
  queue.forEach(run);
  queue.push = run;
  const { rpaSessionId, rpaSessionParam, rpaSessionFrom, rpaDemo } = script?.dataset ?? {};
  const isNamed = [rpaSessionId, rpaSessionParam, rpaSessionFrom, rpaDemo].some((value) => value !== undefined);
  // The script tag alone names a session: elements of the page's own are to follow it.
  if (isNamed && !document.querySelector(NAME)) run(['start', { hidden: '' }]);
}

/** Put the style that has come on the elements that are there. */
const dressAll = () => document.querySelectorAll(NAME).forEach((node) => node.dress?.());

/** Return the queue of commands; an object of that name that is no list is somebody else's. */
function commandQueue() {
  window.RPAProgress ??= [];
  return Array.isArray(window.RPAProgress) ? window.RPAProgress : [];
}

/** Start once the page is parsed and the data file was asked for; it is not waited for long, nor a second time. */
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
  queue.isTaken = true; // by the first script of this name on the page
  startInTime(queue);
}
