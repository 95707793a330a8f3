// The element <rpa-progress>: a run drawn into an open shadow root.
//
// The parts are bound as any page's elements are (bind.js). Until there is a session to show, the element shows what the
// page put into it.

import { element } from './dom.js';
import { Painter } from './painter.js';
import { loaded } from './words.js';

const WATCHED = ['session-id', 'base-url', 'token', 'lang', 'demo']; // a change of these begins anew

/** Return what puts the style that is loaded by now on *root*. */
const createDresser = (root) => {
  // A strict policy allows a constructed sheet; Safari before 16.4 has none.
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
 * Make the element's class.
 *
 * @param {(element: HTMLElement, draw: (view: object) => void) => (() => void) | undefined} begin begins the run that the
 *   element's attributes ask for; returns what ends it, undefined where there is nothing to show.
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
      root.replaceChildren(base, live); // before begin(): the first event finds them
      const painter = new Painter(base, live);
      this.stop = begin(this, (view) => painter._draw(view));
      if (!this.stop) root.replaceChildren(element('slot'));
      this.dress();
    };
    /** Begin what the attributes ask for, once all of them are there, instead of what went on before. */
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
