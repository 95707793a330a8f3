// Reports the run and its connection to the page, in the order and as often as docs/javascript.rst promises.

import { RPAError } from './errors.js';
import { failureCode } from './outcome.js';

/** Return the error of a run that has ended, null if its outcome is no failure. */
const failureOf = ({ estado, erros, mensagem }) => {
  const code = failureCode(estado);
  if (!code) return null;
  const [lastError] = erros.slice(-1);
  const words = lastError?.erro || mensagem;
  return new RPAError(code, words, { fatal: true });
};

/** Return a snapshot in the shape of an update, for when a page gets the whole state instead of every update. */
const asUpdate = (snapshot) => ({
  ...snapshot, type: 'progress_update', etapa: snapshot.etapa_atual, timestamp: snapshot.timestamp_atualizacao,
});

const isNews = (value, before) => value && JSON.stringify(value) !== JSON.stringify(before);

export class Reporter {
  /**
   * @param {object} client its public properties are kept up to date.
   * @param {Emitter} emitter
   */
  constructor(client, emitter) {
    this._client = client;
    this._emitter = emitter;
    this._failure = null; // the error with which done() rejects, null for none
    this._endedEpoch = undefined; // epoch of the run whose end was reported
    this._outageCode = null; // code of the reported outage, null while connected
  }

  _error(error) {
    this._emitter._emit('error', error, 'onError', error._visitorText);
  }

  /** Report why the connection was lost: once per outage, and again if the cause changes. */
  _outage(error) {
    const isKnown = this._outageCode === error.code;
    this._outageCode = error.code;
    if (!isKnown) this._error(error);
  }

  _outageIsOver() {
    this._outageCode = null;
  }

  /** Report an error after which the client stops. */
  _stopped(error) {
    error.fatal = true;
    this._failure = error;
    this._error(error);
  }

  /** Report a state of the connection, see RPAConnectionState. */
  _connection(state, transport, error) {
    const client = this._client;
    const wasConnected = client.isConnected;
    const connected = state === 'open';
    const detail = { state, transport, connected, error };
    Object.assign(client, detail, { isConnected: connected });
    this._emitter._emit('connection', detail, 'onStateChange', state);
    if (connected !== wasConnected) this._emitter._call('onConnectionChange', connected, detail);
  }

  _stall(snapshot) {
    this._emitter._emit('stall', snapshot);
  }

  /** Report what is new: *update* led from *before* to *snapshot*; it is null if the whole snapshot came. */
  _progress(snapshot, update, before) {
    const { estimativas, resultado, final, epoch } = snapshot;
    this._emitter._emit('progress', update || asUpdate(snapshot), 'onProgressUpdate');
    if (isNews(estimativas, before?.estimativas)) this._emitter._emit('estimate', estimativas, 'onEstimate');
    if (isNews(resultado, before?.resultado)) this._emitter._emit('result', resultado, 'onResult');
    if (final && epoch !== this._endedEpoch) this._end(snapshot);
  }

  _end(snapshot) {
    this._endedEpoch = snapshot.epoch;
    this._failure = failureOf(snapshot);
    if (this._failure) this._error(this._failure);
    this._emitter._emit('done', snapshot);
  }
}
