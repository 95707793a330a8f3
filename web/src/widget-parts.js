// The parts of the widget: created once, then filled and shown as the run goes on, because a live region must exist
// before its text.

import { element, setAttributes } from './dom.js';

// each line: the tag, the part, and the name of its word in the view if that is another name
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
const ROBOTS_LANGUAGE = { lang: 'pt-BR' }; // the robot's own words are in this language, whatever the page's is
const PRICES = /(R\$[\s\d.,]+\d)/;

/** Create the parts inside *base* and return them by name. */
export const makeParts = (base) => {
  const parts = {};
  for (const line of PARTS.split('\n')) {
    const [tag, name, word = name] = line.split(' ');
    parts[name] = element(tag, { part: name, 'data-rpa-text': word });
    base.append(parts[name]);
  }
  setAttributes(parts.track, { role: 'progressbar', id: 'b' });
  parts.track.append(element('div', { part: 'bar', 'data-rpa-width': '' }));
  setAttributes(parts.plans, { 'aria-describedby': 'b' });
  setAttributes(parts.error, { role: 'alert' });
  setAttributes(parts.label, ROBOTS_LANGUAGE);
  setAttributes(parts.message, ROBOTS_LANGUAGE);
  setAttributes(parts.state, { tabindex: -1 });
  setAttributes(parts.retry, { 'data-rpa-show': 'offline fault', 'data-rpa-retry': '' });
  return parts;
};

/** Return *words* as nodes in which each price stays on one line. */
const withPrices = (words) => words.split(PRICES).map((piece, index) => (index % 2 ? element('b', {}, piece) : piece));

const makeTitle = (section, title) => {
  const isDetails = 'open' in section;
  return isDetails ? element('summary', {}, title) : element('h3', { tabindex: -1 }, title);
};

const makeRow = ([name, words]) => element('div', {}, element('dt', {}, name), element('dd', {}, words));

const makeItem = ([name, words, rows], part) => {
  const item = element('div', { part }, element('h4', {}, name), element('p', { part: `${part}-price` }, ...withPrices(words)));
  if (rows?.length) item.append(element('dl', {}, ...rows.map(makeRow)));
  return item;
};

const shown = new WeakMap(); // the entries of each section, as text

/**
 * Fill a section with a title and one node for each item [title, words, rows]; it is empty without items.
 *
 * Nodes before the first changed entry are kept, so that a screen reader's focus among them survives.
 */
export const fillSection = (section, title, items, part) => {
  const entries = items.length ? [title, ...items] : [];
  const texts = entries.map(String);
  const before = shown.get(section) ?? [];
  let same = 0;
  while (texts[same] && texts[same] === before[same]) same += 1;
  shown.set(section, texts);
  while (section.childNodes.length > same) section.lastChild.remove();
  section.append(...entries.slice(same).map((entry) => (entry === title ? makeTitle(section, title) : makeItem(entry, part))));
};
