// The whole build: the client, the element, the bindings, and the command queue, put together.
//
// Safe to load twice, late, early, and beside anything: the first one wins, a name that is taken is left alone. What a
// command or the script tag asks for becomes attributes of the element, so there is one place to look.

import { bind } from './bind.js';
import { follow } from './follow.js';
import { learned } from './words.js';
import { makeElement, safeUrl } from './widget.js';
import './rpa-client.js';

const NAME = 'rpa-progress';
const script = document.currentScript;
let current; // of the run that bound elements follow, the one begun last

/** Begin the run that an element asks for, and return what ends it; nothing while it has no session or is in no page. */
function begin(node, draw) {
  for (const { name, value } of script?.attributes ?? []) {
    if (/^data-rpa-/.test(name) && !node.hasAttribute(name.slice(9))) node.setAttribute(name.slice(9), value);
  }
  const get = (name) => node.getAttribute(name) ?? undefined;
  const event = get('session-from')?.slice(6); // event:name
  if (event && node.listens !== event) {
    node.listens = event;
    addEventListener(event, ({ detail }) => {
      const told = detail?.session_id ?? detail?.sessionId ?? detail;
      if (told) node.setAttribute('session-id', told);
    });
  }
  const sessionId = get('session-id') || new URLSearchParams(location.search).get(get('session-param'));
  if (!node.isConnected || !(sessionId || node.hasAttribute('demo'))) return undefined;
  const run = current = follow(sessionId, get, node, (view) => {
    draw(view);
    if (run === current) bind(document, view);
  }, () => {
    const address = safeUrl(get('redirect-on-success'));
    if (address) location.replace(address); // who goes back is not to be sent here again
  });
  return run;
}

/** Run a command, ['start', {sessionId, …}]: the page's first element shows it, else a new one at the page's end. */
function push([name, options]) {
  if (name !== 'start') return;
  const node = document.querySelector(NAME) ?? document.body.appendChild(document.createElement(NAME));
  for (const key in options) node.setAttribute(key.replace(/[A-Z]/g, '-$&'), options[key]);
}

/** Load what is beside the script: css, en, fields, demo. It may come late: what is shown by then gets it, too. */
async function learn(tries) {
  try {
    const [, place] = /(.+?)(-\d[^/]*)?\.js(\?|$)/.exec(script?.src); // a script in the page itself has none
    const answer = await fetch(`${place}-${VERSION}.json`, { integrity: INTEGRITY });
    const { en, ...more } = await answer.json();
    Object.assign(learned.en, en);
    Object.assign(learned, more);
  } catch {
    if (tries) return setTimeout(learn, 5000, tries - 1);
  }
  learned._isWhole = true;
  document.querySelectorAll(NAME).forEach((node) => node.dress?.());
}

/** Begin for good; what is not known by now is said in plain Portuguese. */
function begun() {
  if (!customElements.get(NAME)) customElements.define(NAME, makeElement(begin));
  queue.forEach(push);
  queue.push = push;
  // The script tag alone names a session: elements of the page's own are to follow it.
  if (/rpa(Sess|Demo)/.test(Object.keys(script?.dataset ?? {})) && !document.querySelector(NAME)) push(['start', { hidden: '' }]);
}

const parsed = new Promise((go) => {
  addEventListener('DOMContentLoaded', go);
  if (document.readyState !== 'loading') go();
});
const patience = new Promise((go) => setTimeout(go, 3000));
const held = window.RPAProgress ??= [];
const queue = held.map ? held : []; // what is no queue is somebody else's
if (!queue.isTaken) {
  queue.isTaken = true;
  Promise.race([learn(2), patience]).then(() => parsed.then(begun));
}
