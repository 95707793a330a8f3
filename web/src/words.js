// What visitors read. Sentences are written where they are used, in Brazilian Portuguese; here are the words for the names
// of plans, and the way to English. English and what the script can do without come from the data file beside it.

import { OUTCOMES } from './outcome.js';

/** The names of plans → Portuguese; outcome.js has those of outcomes. */
const PLANS = { __proto__: null, recomendado: 'Plano recomendado', alternativo: 'Plano alternativo' };

/** What came from the data file, see loaded-data.js; until then its least. `_isComplete` once nothing more is to come. */
export const loaded = {
  css: '[aria-live]{position:fixed;top:-99em}', // is heard, not seen
  en: { __proto__: null },
  words: {},
  fields: [],
  demo: [[1000, { type: 'sync', recovered: true }]],
  _isComplete: false,
};

/**
 * Return *words* in a language: English for "en", Brazilian Portuguese for everything else.
 *
 * @param {string | undefined} words Portuguese, or a name on the wire; '' is returned for undefined, and words that have
 *   no translation are returned as they are.
 * @param {unknown} [first] replaces "#" in the words.
 * @param {unknown} [second] replaces "@".
 */
export const translate = (lang, words, first, second) => {
  const portuguese = OUTCOMES[words]?._words || PLANS[words] || String(words ?? '');
  const translated = (lang === 'en' && loaded.en[portuguese]) || portuguese;
  return translated.replace('#', () => first).replace('@', () => second);
};

/** Return seconds as "42 s" or "1 min 05 s". */
export const duration = (seconds) => {
  const rest = `${Math.floor(seconds % 60)} s`;
  return seconds < 60 ? rest : `${Math.floor(seconds / 60)} min ${rest.padStart(4, '0')}`;
};
