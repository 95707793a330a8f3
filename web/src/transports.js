// The four ways to receive a session: each opens one connection, hands over what comes, and says why it ended.
//
// They know nothing of retries, cursors or other transports. A *link* gives `_url(path, wait)`, `_client` (fetch, WebSocket,
// pollInterval) and `_after(ms, work)`; it takes `_message(object)`, where none is a mere sign of life, `_text(json)`, and
// `_ended(error)`, where no error means that the run is over and everything was seen. What comes after that it ignores.
// Each returns what ends it; that of a WebSocket has a `_ping`.

import { BLOCKED, RPAError, refusal } from './errors.js';
import { parser } from './sse.js';

const WAIT_S = 25;
const BREATH = 250;

export const websocket = (link, token) => {
  const blocked = (code) => link._ended(new RPAError(code, '', BLOCKED));
  let socket;
  try {
    const protocols = token ? ['rpa.v1', `token.${token}`] : 'rpa.v1';
    socket = new (link._client.WebSocket || WebSocket)(link._url('rpa').replace('http', 'ws'), protocols);
  } catch (error) {
    return blocked(error.name === 'SecurityError' ? 'csp_blocked' : 'config');
  }
  socket.onmessage = ({ data }) => link._text(data);
  socket.onclose = ({ code: closeCode }) => {
    const fatal = /^44/.test(closeCode);
    link._ended(closeCode === 4410 ? null : refusal(fatal ? closeCode - 4000 : closeCode, link._why, { closeCode, fatal }));
  };
  // Blocked by the page's policy it fails without ever saying close.
  socket.onerror = () => link._after(0, () => socket.readyState > 2 && blocked('csp_blocked'));
  const stop = () => socket.close();
  stop._ping = () => socket.send('{"type":"ping"}');
  return stop;
};

/** Run a request; whatever goes wrong ends the link. */
const request = (work) => (link, token) => {
  const abort = new AbortController();
  const get = async (...place) => {
    const url = link._url(...place) + (token ? `&token=${encodeURIComponent(token)}` : '');
    const response = await (link._client.fetch || fetch)(url, { signal: abort.signal });
    if (response.ok) return response;
    const { status } = response;
    const body = await response.json().catch(() => ({}));
    if (body.code === 'session_not_found') return { json: () => ({}) }; // nobody has written anything yet
    const after = response.headers.get('retry-after');
    throw refusal(status, body, { status, _after: after * 1000 || Date.parse(after) - Date.now() || body.retry_after_ms });
  };
  // A moment later: what the page's policy has to say of it comes as an event of its own.
  work(link, get).catch((error) => link._after(0, () => link._ended(error._text ? error : new RPAError('network', error.message))));
  return () => abort.abort();
};

export const sse = request(async (link, get) => {
  const response = await get('events');
  if (response.status === 204) return link._ended();
  if (!/event-stream/.test(response.headers.get('content-type'))) throw new RPAError('protocol', '', { _next: true });
  const take = parser(link._text);
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new RPAError('server_shutdown');
    link._message();
    take(value);
  }
});

/** Ask again and again; with *waits* the server holds its answer back until there is something new. */
const asking = (waits) => request(async (link, get) => {
  for (let wait = ''; ; wait = waits) {
    link._message();
    const answer = await (await get('api/sessions', wait)).json();
    const { seq, updates = [] } = answer;
    link._message({ type: 'sync', ...answer, seq: seq - updates.length });
    updates.forEach(link._message);
    await new Promise((go) => link._after(waits && updates.length ? BREATH : link._client.pollInterval, go));
  }
});

export const polling = asking(WAIT_S);
export const poll = asking('');
