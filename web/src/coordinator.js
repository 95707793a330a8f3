// Follows one session: decides what happens when a message comes, a connection ends, or the page wakes up.
//
// Other modules handle the connections (connections.js), their messages (intake.js), the time of the next attempt
// (retry.js) and the reports to the page (reporter.js). Invariants: at most one connection is live, and only its messages
// are reported; a second one takes over once it has brought all that the page has seen; every update is reported once, in
// order, or a whole snapshot instead; after _close() no timer, listener or connection is left. A page may call the client
// from its callbacks, so every report may close or reconnect it.

import { configurationError, serverAddress } from './address.js';
import { Connections } from './connections.js';
import { GIVEN_UP, RPAError } from './errors.js';
import { Intake } from './intake.js';
import { Reporter } from './reporter.js';
import { Retry } from './retry.js';
import { ResumeStore } from './session-storage.js';
import { Surroundings } from './surroundings.js';
import { createTimers } from './timers.js';

const WAKE_MS = 1000; // pages that wake up together spread their tries of a better transport over this time

export class Coordinator {
  /**
   * @param {RPAProgressClient} client supplies the options; its public properties are kept up to date.
   * @param {string} sessionId
   * @param {Emitter} emitter
   */
  constructor(client, sessionId, emitter) {
    this._client = client;
    this._sessionId = sessionId;
    this._isOn = false; // true between _connect() and _close()
    this._timers = createTimers(client.setTimeout || setTimeout, client.clearTimeout || clearTimeout);
    this._connections = new Connections(this);
    this._retry = new Retry(client);
    this._reporter = new Reporter(client, emitter);
    this._intake = new Intake(client, this._timers, this._reporter, () => this._fillGap(), () => this._close());
    this._surroundings = new Surroundings(() => this._wake(), (address) => this._blocked(address));
  }

  // -- called by the client

  get _run() {
    return this._intake._run;
  }

  _connect() {
    if (this._isOn) return;
    const { _client: client, _connections: connections } = this;
    this._isOn = true;
    if (!this._run._isFinal) this._reporter._failure = null;
    this._retry._reset();
    this._base = serverAddress(client.baseUrl);
    this._store = new ResumeStore(client.resumeStore, this._base, this._sessionId);
    connections._choose(client.transports, this._store._loadTransport());
    this._surroundings._listen();
    const wrong = configurationError(this._sessionId, this._base, connections._transports);
    if (wrong) {
      this._close(new RPAError(wrong));
      return;
    }
    this._intake._resume(this._store);
    if (this._isOn) this._dial();
  }

  _reconnect() {
    this._retry._reset();
    if (this._isOn) this._dial();
    else this._connect();
  }

  _close(error) {
    if (!this._isOn) return;
    this._isOn = false;
    this._connections._drop();
    this._timers._stopAll();
    this._surroundings._stop();
    if (error) this._reporter._stopped(error);
    this._reportConnection('closed', error);
  }

  _stats() {
    const { _live: live, _probe: probe, _opened: connects } = this._connections;
    return {
      connects,
      ...this._intake._counts,
      tries: this._retry._failures,
      live: live ? 1 : 0,
      probing: probe ? 1 : 0,
      timers: this._timers._running.size,
    };
  }

  // -- called by the connections

  _sessionUrl(path) {
    return `${this._base}${path}/${encodeURIComponent(this._sessionId)}`;
  }

  _cursor() {
    return this._run._cursor(this._client.replay);
  }

  _messageArrived(connection, message) {
    if (message.type === 'error') {
      connection._serverError = message;
      return;
    }
    if (connection._isOver) return;
    const isFirst = !connection._hasDelivered;
    const isProbe = connection === this._connections._probe;
    if (message.type === 'sync') connection._expectHeartbeat(message.heartbeat_ms);
    connection._hasDelivered = true;
    if (isProbe) {
      if (this._run._isAheadOf(message)) return;
      this._connections._takeOver();
    }
    if (isFirst || isProbe) this._connectionWorks(connection);
    if (!connection._isOver) this._intake._takeIn(message, connection._fillsGapBy);
  }

  /** A message could not be parsed or handled: report that as a protocol error, and skip the message. */
  _garbageArrived(error) {
    this._reporter._error(new RPAError('protocol', error.message));
  }

  /** Note that *connection* has lasted for minUptime, longer than failing ones do: failures are counted anew. */
  _connectionLasted(connection) {
    if (connection !== this._connections._live) return;
    this._retry._reset();
    this._connections._choice._lasted(connection._index);
    this._store._saveTransport(this._client.transport);
  }

  /** Handle the end of *connection*; without an error, the run has ended and everything was received. */
  _connectionEnded(connection, error) {
    const { _connections: connections, _retry: retry } = this;
    if (connection._isOver) return;
    connection._drop();
    if (connection === connections._probe) {
      // If a gap can't be filled beside the live connection, a new live connection may fill it.
      if (connections._probeEnded()) connections._live._end(new RPAError('protocol'));
      return;
    }
    connections._drop();
    if (!error || this._run._isFinal) {
      this._close();
      return;
    }
    if (retry._isExhausted) Object.assign(error, { fatal: true, _visitorText: GIVEN_UP });
    const isOffline = globalThis.navigator?.onLine === false; // if so, the failure says nothing about the transport
    const mayRetry = !error.fatal && (isOffline || connections._choice._failed(error, connection._hasDelivered));
    if (mayRetry) this._retryLater(error, isOffline);
    else this._close(error);
  }

  // -- called only here

  _reportConnection(state, error) {
    this._reporter._connection(state, this._connections._transport, error);
  }

  _dial() {
    this._timers._stop('dial');
    this._connections._dial();
    this._reportConnection('connecting');
  }

  _dialIn(ms) {
    this._timers._after('dial', ms, () => this._dial());
  }

  _retryLater(error, isOffline) {
    // A stale connection is this page's own problem; after other failures many pages may reconnect at the same moment.
    this._retry._schedule(error, this._connections._hasDelivered && error.code !== 'stale');
    this._dialIn(error.retryAt - this._client.now());
    this._reportConnection(isOffline ? 'offline' : 'waiting', error);
    this._reporter._outage(error);
  }

  _connectionWorks(connection) {
    this._connections._works(connection);
    this._reporter._outageIsOver();
    if (this._run._isFinal) this._intake._endLater();
    this._reportConnection('open');
  }

  _fillGap() {
    if (this._connections._isFillingGap) return;
    this._connections._fillGap(this._run._fillGapBy(this._client.replay));
    this._intake._counts.gaps += 1;
  }

  _wake() {
    this._connections._upgradeLater(WAKE_MS * this._client.random());
    if (this._connections._live) this._connections._live._check();
    else this._dialIn(this._retry._notBefore - this._client.now());
  }

  /** The page's Content-Security-Policy blocked *address*: if that is our server's, end the connection at once. */
  _blocked(address) {
    const { _live: live } = this._connections;
    if (live && !live._hasDelivered && `${address}/`.startsWith(this._base)) live._end(new RPAError('csp_blocked'));
  }
}
