// What visitors read. Sentences are written where they are used, in Brazilian Portuguese; this module has the names of
// the plans and the translation. The English texts, and what the script can do without, come from the data file beside
// it.

import { OUTCOMES } from './outcome.js';

/** The plans' names in Portuguese; outcome.js has those of outcomes. */
const PLANS = { __proto__: null, recomendado: 'Plano recomendado', alternativo: 'Plano alternativo' };

/** The content of the data file (loaded-data.js); a minimum until it comes. `_isComplete`: no further try follows. */
export const loaded = {
  css: '[aria-live]{position:fixed;top:-99em}', // hides live regions, which are read out but not shown
  en: { __proto__: null },
  words: {},
  fields: [],
  demo: [[1000, { type: 'sync', recovered: true }]],
  _isComplete: false,
};

/**
 * Return *words* in a language: English for "en", Brazilian Portuguese for any other.
 *
 * @param {string | undefined} words Portuguese, or a name on the wire; undefined becomes '', and words without a
 *   translation are returned unchanged.
 * @param {unknown} [first] replaces "#" in the words.
 * @param {unknown} [second] replaces "@".
 */
export const translate = (lang, words, first, second) => {
  const portuguese = OUTCOMES[words]?._words || PLANS[words] || String(words ?? '');
  const translated = (lang === 'en' && loaded.en[portuguese]) || portuguese;
  return translated.replace('#', () => first).replace('@', () => second);
};

/** Format seconds as "42 s" or "1 min 05 s". */
export const duration = (seconds) => {
  const rest = `${Math.floor(seconds % 60)} s`;
  return seconds < 60 ? rest : `${Math.floor(seconds / 60)} min ${rest.padStart(4, '0')}`;
};
