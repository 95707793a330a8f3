// The class of all errors: what happened, whether it is final, and the text for the visitor.

export const GIVEN_UP = 'Máximo de tentativas de reconexão atingido';

/** The categories: their codes and the visitor's text. Codes that are not listed belong to the network category. */
const CATEGORIES = {
  config: { codes: new Set(['config', 'mixed_content', 'csp_blocked']), visitorText: 'Página mal configurada.' },
  access: { codes: new Set(['auth', 'forbidden', 'not_found', 'gone']), visitorText: 'Sem acesso à cotação.' },
  busy: { codes: new Set(['rate_limited', 'full']), visitorText: 'Servidor ocupado.' },
  job: { codes: new Set(['job_failed', 'job_timeout']), visitorText: 'Cotação não concluída.' },
};
const NETWORK_TEXT = 'Sem conexão. Reconectando…';

/** The error codes by HTTP status or WebSocket close code. */
const CODES = {
  400: 'config', 401: 'auth', 403: 'forbidden', 404: 'not_found', 410: 'gone', 429: 'rate_limited',
  1001: 'server_shutdown', 1012: 'server_shutdown', 1013: 'full',
};
const FIRST_CLOSE_CODE = 1000;
const TOO_MANY_REQUESTS = 429; // answers with this status or a higher one are temporary

/**
 * An error of the client, see rpa-progress.d.ts for its codes.
 *
 * Properties for other modules: `_visitorText`, `_retryAfterMs` (how long the server asks to wait) and
 * `_tryNextTransport` (another transport is likely to work at once).
 */
export class RPAError extends Error {
  constructor(code, message, fields) {
    super(message || code);
    const [category, { visitorText }] = Object.entries(CATEGORIES).find(([, { codes }]) => codes.has(code))
      ?? ['network', { visitorText: NETWORK_TEXT }];
    Object.assign(this, { name: 'RPAError', code, category, fatal: false, messageKey: code, _visitorText: visitorText }, fields);
  }
}

/**
 * Build the error of an HTTP answer or of a WebSocket's close code.
 *
 * A status below 429 with `temporary: false` in its body, as our server sends it, makes the error final. Without such a
 * body the answer may come from a proxy: then another transport may work, or the same one later.
 *
 * @param {number} number the status, or the close code.
 * @param {object} body the parsed body or the server's last error message, {} if there is none.
 * @param {object} fields further fields of the error; they win over those made here.
 */
export const refusal = (number, body, fields) => {
  const other = number >= FIRST_CLOSE_CODE ? 'network' : 'server_error';
  const code = body.code === 'full' ? 'full' : CODES[number] || other;
  return new RPAError(code, body.message, {
    fatal: number < TOO_MANY_REQUESTS && body.temporary === false,
    _tryNextTransport: number < TOO_MANY_REQUESTS || code === 'full',
    _retryAfterMs: body.retry_after_ms,
    ...fields,
  });
};
