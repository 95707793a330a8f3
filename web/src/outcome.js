// The outcomes of a run, a record for each. Their names are those of `estado` in docs/api.rst; in web/ only the types
// and the built page-outcomes.js, which the list of sessions imports, have the whole list again.

/**
 * By name on the wire, what a page makes of an outcome:
 * - `_words`: what visitors read, in Portuguese.
 * - `_kind`: its colour in style.css and page.css: running, good, warn, bad or muted. Good means that there is a quote,
 *   so the bar is full.
 * - `_failure`: the code of the error with which `done()` rejects after this outcome; '' if it is no failure.
 */
export const OUTCOMES = {
  __proto__: null, // so that a server's word such as "constructor" finds nothing here
  aguardando: { _words: 'Aguardando o início', _kind: 'muted', _failure: 'job_failed' },
  executando: { _words: 'Em andamento', _kind: 'running', _failure: 'job_failed' },
  sucesso: { _words: 'Cotação concluída', _kind: 'good', _failure: '' },
  cotacao_manual: { _words: 'Cotação manual necessária', _kind: 'warn', _failure: '' },
  erro: { _words: 'Não foi possível concluir', _kind: 'bad', _failure: 'job_failed' },
  expirado: { _words: 'Cotação expirada', _kind: 'warn', _failure: 'job_timeout' },
  cancelado: { _words: 'Cotação cancelada', _kind: 'muted', _failure: 'job_failed' },
};

/**
 * The outcomes' words that are not in the scripts but in their data file (loaded-data.js): the English ones, and a hint
 * for an outcome without a quote if the general hint, that the quote stopped before its end, would be false.
 */
export const LOADED = {
  aguardando: { english: 'Waiting to start' },
  executando: { english: 'In progress' },
  sucesso: { english: 'Quote ready' },
  cotacao_manual: {
    english: 'A person has to quote this',
    hint: 'A cotação precisa ser feita por uma pessoa.',
    englishHint: 'There is no automatic calculation for this case: the quote has to be made by a person.',
  },
  erro: { english: 'We could not finish' },
  expirado: { english: 'Quote expired' },
  cancelado: { english: 'Quote cancelled' },
};

/** Return the `_kind` of an outcome; 'running' for one that this script does not know. */
export const kindOf = (estado) => OUTCOMES[estado]?._kind ?? 'running';

/** Tell whether this outcome means that there is a quote. */
export const isQuote = (estado) => kindOf(estado) === 'good';

/** Return the `_failure` of an outcome; an outcome that this script does not know counts as `erro`. */
export const failureCode = (estado) => (OUTCOMES[estado] ?? OUTCOMES.erro)._failure;
