// The four ways to receive a session: each opens one connection, hands over what comes, and says why it ended.
//
// They know nothing of retries, cursors or other transports. Each takes a *link*, a token and the client (fetch, WebSocket,
// pollInterval, now, _url). A link gives `_after(ms, work)`, `_why` (the server's last error) and `_poll` (the rung of plain
// polls, -1 where the page allows none); it takes `_message(object)`, where none is a mere sign of life, `_text(json)`,
// and `_ended(error)`, where no error means that the run is over and everything was seen. What comes after that it
// ignores. `_quiet` is the ms of silence that it bears, `_hangs` that the next transport is better if it goes silent.
// Each returns what ends it; that of a WebSocket has a `_ping`.

import { RPAError, refusal } from './errors.js';
import { parser } from './sse-parser.js';

const WAIT_S = 10;
const SEATS = 4;
const HELD = 5000; // ms: an answer that took longer was held back, and no sign of a server that never waits
const BREATH = 250;

export const websocket = (link, token, client) => {
  const blocked = (code) => link._ended(new RPAError(code, '', { _next: true }));
  let socket;
  try {
    socket = new (client.WebSocket || WebSocket)(client._url(link, 'rpa').replace('http', 'ws'), token ? ['rpa.v1', `token.${token}`] : 'rpa.v1');
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
  return Object.assign(() => socket.close(), { _ping: () => socket.send('{"type":"ping"}') });
};

/**
 * Run requests; whatever goes wrong ends the link.
 *
 * A browser has six connections to a host for all its tabs, where the server speaks HTTP/1.1. A request that *holds* one
 * open takes one of a few seats, which the tabs share by the browser's locks; a tab that finds none asks again and again,
 * and leaves the rest to the pages' own requests.
 */
const request = (work, holds) => (link, token, client) => {
  const abort = new AbortController();
  const get = async (...place) => {
    const response = await (client.fetch || fetch)(
      client._url(link, ...place) + (token ? `&token=${encodeURIComponent(token)}` : ''), { signal: abort.signal });
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    if (body.code === 'session_not_found') return { json: () => ({}) }; // nobody has written anything yet
    const after = response.headers.get('retry-after');
    throw refusal(response.status, body, {
      status: response.status, _after: after * 1000 || Date.parse(after) - Date.now() || body.retry_after_ms,
    });
  };
  const locks = globalThis.navigator?.locks;
  const stand = () => {
    link._at = link._poll;
    return ask(link, get, client);
  };
  const sit = (n) => locks.request(`rpa${n}`, { ifAvailable: true },
    (lock) => (lock ? work(link, get, client, holds) : n ? sit(n - 1) : stand()));
  // A moment later: what the page's policy has to say of it comes as an event of its own.
  (holds && locks && link._poll > 0 ? sit(SEATS - 1) : work(link, get, client, holds))
    .catch((error) => link._after(0, () => link._ended(error._text ? error : new RPAError('network'))));
  return () => {
    abort.abort();
    link._go?.(); // or the seat would stay taken
  };
};

/** Ask again and again; what *waits* says makes the server hold its answer back until there is something new. */
const ask = async (link, get, client, waits) => {
  for (let wait; ; wait = waits) {
    const begun = client.now();
    link._message();
    const answer = await (await get('api/sessions', wait)).json();
    const { seq, updates = [] } = answer;
    link._message({ type: 'sync', ...answer, seq: seq - updates.length });
    updates.forEach(link._message);
    link._hangs = waits && !wait; // unless proven otherwise a request that waits is one that a proxy swallows
    link._quiet = 1 / 0;
    await new Promise((go) => link._after(
      waits && (updates.length || client.now() - begun > HELD) ? BREATH : client.pollInterval, link._go = go));
    link._quiet = 2000 * WAIT_S;
  }
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
}, 1);
export const polling = request(ask, `&wait=${WAIT_S}`);
export const poll = request(ask);
