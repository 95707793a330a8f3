// What visitors read. The words stand where they are said, in Brazilian Portuguese; what is said for the wire's names,
// and how English gets its own, is here. English and the rest come from the file beside the script.

// What the wire calls by name.
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

/** What is known beyond the script, see loaded-data.js; _isWhole once nothing more is to come. */
export const learned = {
  css: '[aria-live]{position:fixed;top:-99em}', // is heard, not seen
  en: { __proto__: null },
  words: {},
  fields: [],
  demo: [[1000, { type: 'sync', recovered: true }]],
};

/**
 * Say *words* in a language: English for "en", Brazilian Portuguese for everything else.
 *
 * @param {string} words Portuguese, or what the wire says.
 * @returns {string} nothing for undefined; with "#" and "@" replaced by *one* and *two*; what has no translation is its own.
 */
export const say = (lang, words, one, two) => {
  const pt = PT[words] || `${words ?? ''}`;
  return ((lang === 'en' && learned.en[pt]) || pt).replace('#', () => one).replace('@', () => two);
};

/** Seconds as "42 s" or "1 min 05 s". */
export const duration = (seconds) => {
  const rest = `${Math.floor(seconds % 60)} s`;
  return seconds < 60 ? rest : `${Math.floor(seconds / 60)} min ${rest.padStart(4, 0)}`;
};
