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
const DATA_TRIES = 2; // in addition to the first one
const PATIENCE_MS = 3000; // to wait for the data file; after that the widget begins in plain Portuguese
const script = document.currentScript; // read now: null once the script has run
let current; // stops the latest run; bound elements follow that run

/** Give *node* the script tag's attributes that it does not have itself. */
function inheritAttributes(node) {
  for (const { name, value } of script?.attributes ?? []) {
    const own = name.slice(PREFIX.length);
    if (name.startsWith(PREFIX) && !node.hasAttribute(own)) node.setAttribute(own, value);
  }
}

/** Set the session when the window fires an event of this type, which the page chose. */
function listenForSession(node, type) {
  if (!type || node.listens === type) return;
  node.listens = type;
  addEventListener(type, ({ detail }) => {
    const sessionId = detail?.session_id ?? detail?.sessionId ?? detail;
    if (sessionId) node.setAttribute('session-id', sessionId);
  });
}

/** Begin the run that an element asks for and return what stops it; undefined without a session or outside the page. */
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

/** Run a command, ['start', {sessionId, …}], on the page's first element, or on a new one at the end of the page. */
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
  // Only the script tag names a session: a hidden element follows it for the page's own bound elements.
  if (isNamed && !document.querySelector(NAME)) run(['start', { hidden: '' }]);
}

/** Apply the loaded style to all existing elements. */
const dressAll = () => document.querySelectorAll(NAME).forEach((node) => node.dress?.());

/** Return the command queue; if the name belongs to something other than an array, it is somebody else's. */
function commandQueue() {
  window.RPAProgress ??= [];
  return Array.isArray(window.RPAProgress) ? window.RPAProgress : [];
}

/** Start once the page is parsed and the first try to load the data file is over; wait for the latter only briefly. */
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
  queue.isTaken = true; // taken by the first script of this name on the page
  startInTime(queue);
}
