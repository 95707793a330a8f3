// The outcomes of a run, a record for each. Their names are those of `estado` in docs/api.rst; nothing else in web/ lists
// them but the types. The build makes page-outcomes.js of the same records, for the list of sessions.

/**
 * The name on the wire → what a page makes of it:
 * - `_words`: what visitors read, in Portuguese.
 * - `_kind`: its colour in style.css and page.css: running, good, warn, bad or muted. Good says that there is a quote, so
 *   the bar is full.
 * - `_failure`: the code of the error that `done()` rejects with where a run ended so; '' where it did not fail.
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
 * What the scripts leave to their data file, see loaded-data.js: English; and a hint where the one for every end without a
 * quote, that it stopped before its end, would be wrong.
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

/** Return how an outcome looks; one of a newer server like a run that goes on. */
export const kindOf = (estado) => OUTCOMES[estado]?._kind ?? 'running';

/** Tell whether there is a quote. */
export const isQuote = (estado) => kindOf(estado) === 'good';

/** Return the code of the error that a run ended with, '' for none; an outcome of a newer server is a failure. */
export const failureCode = (estado) => (OUTCOMES[estado] ?? OUTCOMES.erro)._failure;
