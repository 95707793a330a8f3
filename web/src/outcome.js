// What the outcomes of a run mean; their names are those of `estado` in docs/api.rst.

/** Outcomes that are no failure: a quote, and a case that a person has to quote. */
export const NO_FAILURE = new Set(['sucesso', 'cotacao_manual']);
