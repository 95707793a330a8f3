// What visitors read. Sentences are written where they are used, in Brazilian Portuguese; here are the words for the names
// of the wire, and the way to English. English and what the script can do without come from the data file beside it.

/** Names on the wire → Portuguese. */
const PT = {
  __proto__: null, // so that a server's word such as "constructor" finds nothing here
  aguardando: 'Aguardando o início',
  executando: 'Em andamento',
  sucesso: 'Cotação concluída',
  cotacao_manual: 'Cotação manual necessária',
  erro: 'Não foi possível concluir',
  expirado: 'Cotação expirada',
  cancelado: 'Cotação cancelada',
  recomendado: 'Plano recomendado',
  alternativo: 'Plano alternativo',
};

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
  const portuguese = PT[words] || String(words ?? '');
  const translated = (lang === 'en' && loaded.en[portuguese]) || portuguese;
  return translated.replace('#', () => first).replace('@', () => second);
};

/** Return seconds as "42 s" or "1 min 05 s". */
export const duration = (seconds) => {
  const rest = `${Math.floor(seconds % 60)} s`;
  return seconds < 60 ? rest : `${Math.floor(seconds / 60)} min ${rest.padStart(4, '0')}`;
};
