// The element <rpa-progress>: a run drawn into an open shadow root.
//
// The parts have data-rpa-* attributes, as a page's own elements may have (bind.js). Until there is a session, the
// element shows what the page put into it.

import { element } from './dom.js';
import { Painter } from './painter.js';
import { loaded } from './words.js';

const WATCHED = ['session-id', 'base-url', 'token', 'lang', 'demo']; // a change of one of these begins anew

/** Return a function that applies the style loaded so far to *root*. */
const createDresser = (root) => {
  // A strict Content-Security-Policy allows constructed sheets only, not style elements; Safari before 16.4 has none.
  const hasSheets = Boolean(document.adoptedStyleSheets);
  const style = hasSheets ? new CSSStyleSheet() : element('style');
  return () => {
    if (hasSheets) {
      style.replaceSync(loaded.css);
      root.adoptedStyleSheets = [style];
    } else {
      style.textContent = loaded.css;
      root.append(style);
    }
  };
};

/**
 * Create the element's class.
 *
 * @param {(element: HTMLElement, draw: (view: object) => void) => (() => void) | undefined} begin follows the run that
 *   the element's attributes ask for; returns a function that stops that, undefined if there is nothing to show.
 */
const makeElement = (begin) => class extends HTMLElement {
  static get observedAttributes() {
    return WATCHED;
  }

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    let isDue = false;
    this.dress = createDresser(root);
    const beginAnew = () => {
      isDue = false;
      const base = element('div', { part: 'base' });
      const live = element('div', { 'aria-live': 'polite' });
      this.stop?.();
      root.replaceChildren(base, live); // before begin(), because listeners of its first event may look for them
      const painter = new Painter(base, live);
      this.stop = begin(this, (view) => painter._draw(view));
      if (!this.stop) root.replaceChildren(element('slot'));
      this.dress();
    };
    /** Stop following, and follow the run that the attributes ask for, once all of them are set. */
    this.restart = () => {
      if (!isDue) queueMicrotask(beginAnew);
      isDue = true;
    };
  }

  connectedCallback() {
    this.restart();
  }

  disconnectedCallback() {
    this.restart();
  }

  attributeChangedCallback() {
    this.restart();
  }
};

/** Define the element under *name*, unless the page has one of that name. */
export const defineElement = (name, begin) => {
  if (!customElements.get(name)) customElements.define(name, makeElement(begin));
};
