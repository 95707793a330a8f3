// The element <rpa-progress>: a run drawn into an open shadow root.
//
// Everything is there from the start and only filled and shown: a live region must exist before its words. The parts
// are bound as any page's elements are (bind.js). Until there is a session to show, the element shows what the page
// put into it.

import { bind } from './bind.js';
import { learned, say } from './words.js';

const SPEAK_MS = 10_000;
const KEPT_MS = 20_000; // what was said is no news for ever

// element, part, and what it says where that has another name
const PARTS = `h2 title
span state estado
span percent
span steps passo
div track
p label nome
p message mensagem
span elapsed tempo
span eta
p hint dica
p status aviso
p error erro
a contact
button retry
section plans
section estimate
details log`;

const set = (node, attributes) => {
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  return node;
};
/** Make an element. */
const el = (tag, attributes, ...kids) => {
  const node = set(document.createElement(tag), attributes);
  node.append(...kids);
  return node;
};

/** Return *address* where a visitor may follow it: to a page, a telephone, a mail. */
export const safeUrl = (address) => {
  try {
    const { protocol, href } = new URL(address, document.baseURI);
    return address && /^(https?|tel|mailto):$/.test(protocol) && href;
  } catch { /* none */ }
};

/** Put a title and items into one sentence after the other. */
const list = (title, items) => [title, ...items.map(([name, words]) => `${name}: ${words}`)].join('. ');

/** Fill a section with a title and one node for each item [title, words, rows]; what did not change stays the same node. */
const fill = (section, title, items, part) => {
  const all = items[0] ? [title, ...items] : [];
  const words = all.map(String);
  let at = 0;
  while (words[at] && words[at] === section.words?.[at]) at++;
  section.words = words;
  while (section.childNodes[at]) section.lastChild.remove();
  section.append(...all.slice(at).map((one) => {
    if (one === title) return 'open' in section ? el('summary', {}, title) : el('h3', { tabindex: -1 }, title);
    const [name, said, rows] = one;
    return el('div', { part }, el('h4', {}, name),
      // A price stays on one line.
      el('p', { part: `${part}-price` }, ...said.split(/(R\$[\s\d.,]+\d)/).map((some, i) => (i % 2 ? el('b', {}, some) : some))),
      ...(rows?.[0] ? [el('dl', {}, ...rows.map(([key, value]) => el('div', {}, el('dt', {}, key), el('dd', {}, value))))] : []));
  }));
};

/** Put the parts into *base*; return them by name. */
const build = (base) => {
  const $ = {};
  for (const line of PARTS.split('\n')) {
    const [tag, name, words = name] = line.split(' ');
    base.append($[name] = el(tag, { part: name, 'data-rpa-text': words }));
  }
  set($.track, { role: 'progressbar', id: 'b' }).append(el('div', { part: 'bar', 'data-rpa-width': '' }));
  set($.plans, { 'aria-describedby': 'b' });
  set($.error, { role: 'alert' });
  set($.label, { lang: 'pt-BR' }); // the robot's own words
  set($.message, { lang: 'pt-BR' });
  set($.state, { tabindex: -1 });
  set($.retry, { 'data-rpa-show': 'offline fault', 'data-rpa-retry': '' });
  return $;
};

/** Return what tells a screen reader: news at once, steps at most once in 10 s and then only the newest. */
const speaker = (live) => {
  let spokenAt = 0;
  let later;
  const speak = (words, pause = 0) => {
    const wait = spokenAt + pause - Date.now();
    clearTimeout(later);
    if (wait > 0) later = setTimeout(speak, wait, words);
    else {
      spokenAt = Date.now();
      live.append(el('p', {}, words));
      setTimeout(() => live.firstChild.remove(), KEPT_MS);
    }
  };
  return speak;
};

/** Return what draws views into *base* and tells the news of them in *live*. */
const painter = (base, live) => {
  const $ = build(base);
  const speak = speaker(live);
  let drawn = {};
  return (view) => {
    const { on, estimate, value, etapa, passo, aviso, estado, lang } = view;
    const { track, plans, contact } = $;
    const t = (key) => say(lang, key);
    const address = (on.error || (on.final && view.dica)) && safeUrl(view.contact);
    const title = t('Sua cotação');
    const words = [passo, view.mensagem || view.nome || estado].filter(Boolean).join(': ');
    const isInside = base.getRootNode().activeElement;
    if (address) contact.href = address;
    bind(base, { ...view, title, retry: t('Tentar agora'), contact: address ? t('Falar com um corretor') : '' });
    set(base, { lang, class: Object.keys(on)[0] });
    set(track, { 'aria-label': title, 'aria-valuetext': words });
    if (value >= 0) set(track, { 'aria-valuenow': value });
    set(plans, { 'aria-busy': !on.final });
    fill(plans, t('Resultado'), view.plans, 'plan');
    fill($.estimate, t('Estimativas iniciais'), estimate, 'item');
    fill($.log, t('Passo a passo'), view.log, 'item');
    if (estimate[0] && !drawn.estimate?.[0]) speak(list(t('Estimativas iniciais'), estimate));
    // The same in another language, once that is learned, is no news.
    if (aviso && (!drawn.aviso || on.offline !== drawn.on.offline)) speak(aviso);
    if (drawn.on?.offline && on.offline === false) speak(t(learned.words.back)); // undefined where it is not followed any more
    if (isInside?.hidden) $.state.focus();
    if (on.final && !drawn.on?.final) {
      speak(list(estado, view.plans));
      // Whoever is inside the widget is taken to the result; nobody else's focus is touched.
      if (isInside) (plans.firstChild ?? $.state).focus();
    } else if (passo && etapa !== drawn.etapa) speak(words, SPEAK_MS);
    drawn = view;
  };
};

/**
 * Make the element's class.
 *
 * @param {(element: HTMLElement, draw: (view: object) => void) => (() => void) | undefined} begin begins the run that the
 *   element's attributes ask for; returns what ends it, nothing where there is nothing to show.
 */
export const makeElement = (begin) => {
  return class extends HTMLElement {
    static get observedAttributes() {
      return ['session-id', 'base-url', 'token', 'lang', 'demo'];
    }

    constructor() {
      super();
      const root = this.attachShadow({ mode: 'open' });
      // A strict policy allows a sheet; before Safari 16.4 there is none.
      const style = document.adoptedStyleSheets ? new CSSStyleSheet() : el('style');
      let isDue;
      /** Put on the style that is known by now. */
      this.dress = () => {
        if (style.replaceSync) {
          style.replaceSync(learned.css);
          root.adoptedStyleSheets = [style];
        } else {
          style.textContent = learned.css;
          root.append(style);
        }
      };
      const restart = () => {
        isDue = false;
        const base = el('div', { part: 'base' });
        const live = el('div', { 'aria-live': 'polite' });
        this.stop?.();
        root.replaceChildren(base, live); // the first event finds them
        this.stop = begin(this, painter(base, live));
        if (!this.stop) root.replaceChildren(el('slot'));
        this.dress();
      };
      /** Begin what the attributes ask for, once all of them are there, in place of what went on before. */
      this.restart = () => {
        if (!isDue) queueMicrotask(restart);
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
};
