// The four transports of a session. Each opens one connection, passes on what comes, and reports why the connection
// ended.
//
// Retries and cursors are handled elsewhere. A transport takes a Connection (connection.js), a token and the client
// (fetch, WebSocket, pollInterval, now), and returns an object with `_close()` and, for a WebSocket, `_ping()`: over
// HTTP nothing can be asked for.

import { RPAError, refusal } from './errors.js';
import { createSseParser } from './sse-parser.js';

const POLL_WAIT_S = 10; // how long the server may delay its answer to a poll
const DELAYED_MS = 5000; // a slower answer was delayed by the server, which shows that it supports waiting polls
const PAUSE_MS = 250; // pause between polls that the server may delay
const SEATS = 4; // connections that all tabs together may keep open, a lock for each; a browser allows six to a host

const CLOSED_FINISHED = 4410;
const FIRST_FINAL_CLOSE_CODE = 4400; // close codes 4400 to 4499 are HTTP statuses plus 4000
const LAST_FINAL_CLOSE_CODE = 4499;
const SOCKET_CLOSED = 3; // readyState

// -- WebSocket

export const websocket = (connection, token, client) => {
  const Socket = client.WebSocket || WebSocket;
  const url = connection._url('rpa').replace('http', 'ws');
  const endBlocked = (code) => connection._end(new RPAError(code, '', { _tryNextTransport: true }));
  let socket;
  try {
    socket = new Socket(url, token ? ['rpa.v1', `token.${token}`] : 'rpa.v1');
  } catch (error) {
    endBlocked(error.name === 'SecurityError' ? 'csp_blocked' : 'config');
    return undefined;
  }
  socket.onmessage = ({ data }) => connection._receiveText(data);
  socket.onclose = ({ code }) => connection._end(code === CLOSED_FINISHED ? null : closeError(code, connection._serverError));
  // A socket that the page's policy blocks is closed without a close event.
  socket.onerror = () => connection._after(0, () => {
    if (socket.readyState >= SOCKET_CLOSED) endBlocked('csp_blocked');
  });
  return {
    _close: () => socket.close(),
    _ping: () => socket.send('{"type":"ping"}'),
  };
};

const closeError = (closeCode, serverError) => {
  const fatal = closeCode >= FIRST_FINAL_CLOSE_CODE && closeCode <= LAST_FINAL_CLOSE_CODE;
  return refusal(fatal ? closeCode - 4000 : closeCode, serverError, { closeCode, fatal });
};

// -- HTTP

/** Return the ms that an answer asks us to wait: Retry-After in seconds or as a date, else the value in its body. */
const retryAfterMs = (header, body) => header * 1000 || Date.parse(header) - Date.now() || body.retry_after_ms;

/** Return a function that sends a GET request of *connection* and returns the response, or throws its RPAError. */
const requester = (connection, token, client, signal) => async (path, query) => {
  const send = client.fetch || fetch;
  const url = connection._url(path, query) + (token ? `&token=${encodeURIComponent(token)}` : '');
  const response = await send(url, { signal });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  if (body.code === 'session_not_found') return { json: () => ({}) }; // nothing has been written for this session yet
  const { status, headers } = response;
  throw refusal(status, body, { status, _retryAfterMs: retryAfterMs(headers.get('retry-after'), body) });
};

/**
 * Run *work* while keeping one of SEATS locks, which the browser shares between the tabs of an origin, or *otherwise*
 * if none is free.
 *
 * With HTTP/1.1 a browser has six connections to a host for all its tabs: requests that keep one open must leave some
 * for the pages' own requests.
 */
const inSeat = (locks, seat, work, otherwise) => locks.request(`rpa${seat}`, { ifAvailable: true }, (lock) => {
  if (lock) return work();
  return seat > 0 ? inSeat(locks, seat - 1, work, otherwise) : otherwise();
});

/**
 * Make a transport of *receive(connection, get, client)*, which sends requests; any exception ends the connection.
 *
 * A transport that *occupies* a connection of the browser is replaced by plain polls if too many tabs have one.
 */
const overHttp = (receive, occupies) => (connection, token, client) => {
  const abort = new AbortController();
  const get = requester(connection, token, client, abort.signal);
  const start = () => receive(connection, get, client);
  const startPolls = () => {
    connection._index = connection._pollIndex;
    return pollAgainAndAgain(connection, get, client);
  };
  const locks = globalThis.navigator?.locks;
  const needsSeat = occupies && locks && connection._pollIndex > 0;
  const work = needsSeat ? inSeat(locks, SEATS - 1, start, startPolls) : start();
  // A moment later, since a request that the page's policy blocked has an event (securitypolicyviolation), which should
  // end the connection first.
  work.catch((error) => connection._after(0, () => {
    connection._end(error instanceof RPAError ? error : new RPAError('network'));
  }));
  return {
    _close() {
      abort.abort();
      connection._endPause?.(); // else a transport that pauses between polls would keep its lock
    },
  };
};

/** Poll for ever. With *delay*, a query parameter, the server may delay its answers until there is something new. */
const pollAgainAndAgain = async (connection, get, client, delay) => {
  let query; // undefined for the first request, which should be answered at once
  for (;;) {
    const begun = client.now();
    connection._receive();
    const answer = await (await get('api/sessions', query)).json();
    const { seq, updates = [] } = answer;
    connection._receive({ type: 'sync', ...answer, seq: seq - updates.length });
    for (const update of updates) connection._receive(update);
    // Until the server has answered a request that it may delay, silence means that a proxy swallows such requests.
    connection._hangs = Boolean(delay && !query);
    const isPaced = delay && (updates.length || client.now() - begun > DELAYED_MS);
    connection._silenceLimit = Infinity;
    await pause(connection, isPaced ? PAUSE_MS : client.pollInterval);
    connection._silenceLimit = 2000 * POLL_WAIT_S;
    query = delay;
  }
};

/** Wait *ms*, or until the connection is closed, which a callback of the page may have done. */
const pause = (connection, ms) => new Promise((resolve) => {
  connection._endPause = resolve;
  connection._after(ms, resolve);
  if (connection._isOver) resolve();
});

const readStream = async (connection, get) => {
  const response = await get('events');
  if (response.status === 204) {
    connection._end();
    return;
  }
  const isStream = /event-stream/.test(response.headers.get('content-type'));
  if (!isStream) throw new RPAError('protocol', '', { _tryNextTransport: true });
  const parse = createSseParser((data) => connection._receiveText(data));
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new RPAError('server_shutdown');
    connection._receive(); // even a comment shows that the stream is alive
    parse(value);
  }
};

export const sse = overHttp(readStream, true);
export const polling = overHttp((...args) => pollAgainAndAgain(...args, `&wait=${POLL_WAIT_S}`), true);
export const poll = overHttp(pollAgainAndAgain, false);
