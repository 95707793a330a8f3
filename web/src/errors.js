// What can go wrong, as one class: what happened, whether it is final, and what a visitor may read.

export const GIVEN_UP = 'Máximo de tentativas de reconexão atingido';

const KINDS = [
  [/^(conf|m|cs)/, 'config', 'Página mal configurada.'],
  [/^(a|fo|no|g)/, 'access', 'Sem acesso à cotação.'],
  [/^(r|fu)/, 'busy', 'Servidor ocupado.'],
  [/^j/, 'job', 'Cotação não concluída.'],
  [/./, 'network', 'Sem conexão. Reconectando…'],
];
const CODES = {
  400: 'config', 401: 'auth', 403: 'forbidden', 404: 'not_found', 410: 'gone', 429: 'rate_limited',
  1001: 'server_shutdown', 1012: 'server_shutdown', 1013: 'full',
};

/**
 * An error of the client, see rpa-progress.d.ts for its codes.
 *
 * Between modules: `_text` is for the visitor, `_after` ms that the server wants us to wait, `_next` that another
 * transport is better tried at once.
 */
export class RPAError extends Error {
  constructor(code, message, more) {
    super(message || code);
    const [, category, _text] = KINDS.find(([codes]) => codes.test(code));
    Object.assign(this, { name: 'RPAError', code, category, fatal: false, messageKey: code, _text }, more);
  }
}

/**
 * Build the error of an HTTP answer or of a WebSocket's close code.
 *
 * An error body of ours that is not temporary is final. Without one a proxy may have spoken: then another transport
 * may still be open, or this one later.
 *
 * @param {number} number the status, or the code.
 * @param {object} body the parsed body, {} where it is none.
 * @param {object} more further fields.
 */
export const refusal = (number, { code, message, temporary, retry_after_ms: _after }, more) => {
  const name = code === 'full' ? code : CODES[number] || (number > 999 ? 'network' : 'server_error');
  return new RPAError(name, message, { fatal: number < 429 && temporary === false, _next: number < 429 || name === 'full', _after, ...more });
};
