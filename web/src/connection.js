// One connection of a client. A watchdog ends it if its first message is late, or if it is silent for too long.
//
// Its owner gets the messages and the end, and decides about retries and other connections. Silence is measured by the
// clock, not by counting timers, since the timers of hidden and sleeping pages fire late.

import { RPAError } from './errors.js';
import { BY_SNAPSHOT } from './known-run.js';
import { slowWhileHidden } from './surroundings.js';
import { poll, polling, sse, websocket } from './transports.js';

/** The transports by name: functions that open a connection, see transports.js. */
export const TRANSPORTS = { websocket, sse, polling, poll };

const ANSWER_MS = 2000; // how long to wait for any data after asking for it, see _askForLife()
const HEARTBEAT_SLACK_MS = 5000; // added to two heartbeat intervals of the server, see _expectHeartbeat()

export class Connection {
  /**
   * @param {Coordinator} owner supplies the client (options and clock), the timers, the URLs and the cursor. Its
   *   methods _messageArrived, _garbageArrived, _connectionLasted (repeatedly) and _connectionEnded are called.
   * @param {object} plan
   * @param {string} plan._transport a name in TRANSPORTS.
   * @param {number} plan._index index of that transport in the list of usable ones.
   * @param {number} plan._pollIndex index of plain polls in that list, -1 if they are not in it.
   * @param {number} plan._silenceLimit the first message must come within this many ms.
   * @param {number} [plan._fillsGapBy] BY_UPDATES or BY_SNAPSHOT if the connection is opened to fill a gap.
   */
  constructor(owner, plan) {
    this._owner = owner;
    this._index = plan._index;
    this._pollIndex = plan._pollIndex;
    this._silenceLimit = plan._silenceLimit;
    this._fillsGapBy = plan._fillsGapBy;
    this._serverError = {}; // the server's last error message: the WebSocket close that follows has only a code
    this._hasDelivered = false;
    this._isOver = false;
    this._openedAt = owner._client.now();
    this._lastArrival = this._openedAt;
    this._askedAt = 0; // when _askForLife() was called; 0 once any data came after that
    this._hangs = false; // set by a transport while silence would mean that another transport works better
    this._watchTimer = Symbol('watch');
    this._transportTimer = Symbol('transport');
    this._open(plan._transport).catch((error) => this._end(new RPAError('auth', error?.message)));
    this._watch();
  }

  async _open(transport) {
    const { _client: client } = this._owner;
    const token = typeof client.token === 'function' ? await client.token() : await client.token;
    if (!this._isOver) this._link = TRANSPORTS[transport](this, token, client);
  }

  // -- for transports

  /** Return the URL of *path* for this session with *query* and, unless a gap is filled by snapshot, the cursor. */
  _url(path, query = '') {
    const cursor = this._fillsGapBy === BY_SNAPSHOT ? '' : this._owner._cursor();
    return `${this._owner._sessionUrl(path)}?${cursor && `after=${cursor}`}${query}`;
  }

  /** Run *work* in *ms* (five times *ms* if the page is hidden), unless the connection is over by then. */
  _after(ms, work) {
    if (!this._isOver) this._owner._timers._after(this._transportTimer, slowWhileHidden(ms), work);
  }

  /** Measure silence anew, since data came or a poll is sent; pass *message* on, if there is one. */
  _receive(message) {
    this._lastArrival = this._owner._client.now();
    this._askedAt = 0;
    if (message) this._owner._messageArrived(this, message);
  }

  _receiveText(json) {
    try {
      this._receive(JSON.parse(json));
    } catch (error) {
      this._owner._garbageArrived(error);
    }
  }

  /** Report that the connection is over; without an error, the run has ended and everything was received. */
  _end(error) {
    this._owner._connectionEnded(this, error);
  }

  // -- for the owner

  /** Close the connection; whatever comes after that is ignored. */
  _drop() {
    const { _timers: timers } = this._owner;
    this._isOver = true;
    timers._stop(this._watchTimer);
    timers._stop(this._transportTimer);
    this._link?._close();
  }

  /** Adapt the silence limit to the server's heartbeat interval; the limit is at least staleTimeout. */
  _expectHeartbeat(ms) {
    this._silenceLimit = Math.max(this._owner._client.staleTimeout, 2 * ms + HEARTBEAT_SLACK_MS || 0);
  }

  /**
   * Check the connection after the page woke up or the network changed: it must deliver something within ANSWER_MS.
   *
   * A WebSocket is pinged. Over HTTP nothing can be asked for, so only a connection that has already been silent for
   * half of the limit is checked.
   */
  _check() {
    if (!this._hasDelivered) return;
    const silence = this._owner._client.now() - this._lastArrival;
    if (this._link._ping || silence > this._silenceLimit / 2) this._askForLife();
  }

  // -- watchdog

  _watch() {
    const { _client: client, _timers: timers } = this._owner;
    const now = client.now();
    const deadline = this._askedAt ? this._askedAt + ANSWER_MS : this._lastArrival + this._silenceLimit - ANSWER_MS;
    if (now < deadline) {
      if (this._hasDelivered && now - this._openedAt >= client.minUptime) this._owner._connectionLasted(this);
      if (now - this._lastArrival >= client.heartbeatInterval) this._ping();
      timers._after(this._watchTimer, Math.min(deadline - now, client.heartbeatInterval / 3), () => this._watch());
    } else if (!this._askedAt) {
      this._askForLife(); // not over yet: messages that came while the page slept may still be queued
    } else {
      const code = this._hasDelivered ? 'stale' : 'connect_timeout';
      this._end(new RPAError(code, '', { _tryNextTransport: !this._hasDelivered || this._hangs }));
    }
  }

  _askForLife() {
    this._askedAt = this._owner._client.now();
    this._ping();
    this._watch();
  }

  _ping() {
    if (this._hasDelivered) this._link._ping?.();
  }
}
