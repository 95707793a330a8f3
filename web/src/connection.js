// One connection of a client, watched: it must deliver soon, and must not fall silent.
//
// It knows nothing of other connections or of retries: messages and its end go to its owner. Silence is measured by the
// clock, not by timers: those of hidden and sleeping pages come late.

import { RPAError } from './errors.js';
import { BY_SNAPSHOT } from './known-run.js';
import { slowWhileHidden } from './surroundings.js';
import { poll, polling, sse, websocket } from './transports.js';

/** Name → what opens a connection, see transports.js. */
export const TRANSPORTS = { websocket, sse, polling, poll };

const ANSWER_MS = 2000; // to wait for a sign of life that was asked for
const HEARTBEAT_SLACK_MS = 5000; // beyond two of the server's heartbeats

export class Connection {
  /**
   * @param {Coordinator} owner has the client (its options and its clock), the timers, the addresses, and takes what
   *   happens: _messageArrived, _garbageArrived, _connectionLasted (called again and again), _connectionEnded.
   * @param {object} plan
   * @param {string} plan._transport
   * @param {number} plan._index of that transport in the list of those that may be used.
   * @param {number} plan._pollIndex index of plain polls there, -1 where they may not be used.
   * @param {number} plan._silenceLimit ms in which the first message must come.
   * @param {number} [plan._fillsGapBy] BY_UPDATES or BY_SNAPSHOT where it is opened because of a gap.
   */
  constructor(owner, plan) {
    this._owner = owner;
    this._index = plan._index;
    this._pollIndex = plan._pollIndex;
    this._silenceLimit = plan._silenceLimit;
    this._fillsGapBy = plan._fillsGapBy;
    this._serverError = {}; // the server's last error message; the end that follows it brings only a number
    this._hasDelivered = false;
    this._isOver = false;
    this._openedAt = owner._client.now();
    this._lastArrival = this._openedAt;
    this._askedAt = 0; // when a sign of life was asked for, 0 once something came
    this._hangs = false; // whether silence means that another transport is better, set by transports
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

  /** Return the address of *path* for this session, from where the page is; *query* is added. */
  _url(path, query = '') {
    const cursor = this._fillsGapBy === BY_SNAPSHOT ? '' : this._owner._cursor();
    return `${this._owner._sessionUrl(path)}?${cursor && `after=${cursor}`}${query}`;
  }

  /** Run *work* in *ms*, unless the connection is over by then; a hidden page takes its time. */
  _after(ms, work) {
    if (!this._isOver) this._owner._timers._after(this._transportTimer, slowWhileHidden(ms), work);
  }

  /** Take what came: a message, or nothing for a mere sign of life. */
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

  /** The connection is over; without an error the run is over and everything was received. */
  _end(error) {
    this._owner._connectionEnded(this, error);
  }

  // -- for the owner

  /** Close it; what comes after that is ignored. */
  _drop() {
    const { _timers: timers } = this._owner;
    this._isOver = true;
    timers._stop(this._watchTimer);
    timers._stop(this._transportTimer);
    this._link?._close();
  }

  /** Bear a silence that fits the server's heartbeat. */
  _expectHeartbeat(ms) {
    this._silenceLimit = Math.max(this._owner._client.staleTimeout, 2 * ms + HEARTBEAT_SLACK_MS || 0);
  }

  /** Make sure that it works: the page woke up, or the network changed. Only a WebSocket can be asked at any time. */
  _check() {
    if (!this._hasDelivered) return;
    const silence = this._owner._client.now() - this._lastArrival;
    if (this._link._ping || silence > this._silenceLimit / 2) this._askForLife();
  }

  // -- its own watch

  _watch() {
    const { _client: client, _timers: timers } = this._owner;
    const now = client.now();
    const deadline = this._askedAt ? this._askedAt + ANSWER_MS : this._lastArrival + this._silenceLimit - ANSWER_MS;
    if (now < deadline) {
      if (this._hasDelivered && now - this._openedAt >= client.minUptime) this._owner._connectionLasted(this);
      if (now - this._lastArrival >= client.heartbeatInterval) this._ping();
      timers._after(this._watchTimer, Math.min(deadline - now, client.heartbeatInterval / 3), () => this._watch());
    } else if (!this._askedAt) {
      this._askForLife(); // what came while the page slept may still be queued
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
