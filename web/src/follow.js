// Follows one session for the widget: turns what the client reports into views, which also have the connection's state.
//
// Independent of how a view is drawn. A run may go on while its connection is down, and the other way round, so a view
// has the two separately; and when the run can't be followed any more, the view does not say that the run failed. After
// the end of following no timer is left.

import { stepAge } from './ages.js';
import { RPAProgressClient } from './client.js';
import { DemoSocket } from './demo-socket.js';
import { isQuote } from './outcome.js';
import { advance, applySnapshot } from './run-model.js';
import { plainText } from './text.js';
import { describe } from './view.js';
import { loaded, translate } from './words.js';

const OFFLINE_MS = 8000; // a shorter interruption is not mentioned
const STALL_MS = 260_000; // a longer silence is a stall: the longest step is late after this time (time-left.js)
const KINDS = ['progress', 'estimate', 'result', 'error', 'connection', 'stall', 'done'];
const CANCELABLE = new Set(['result', 'error']); // the page may cancel these to show them itself
const DEMO = { WebSocket: DemoSocket, baseUrl: 'https://demo', resumeStore: null };

/** Create the client of a session with the page's options; without a session id, that of the demonstration. */
const makeClient = (sessionId, get) => new RPAProgressClient(sessionId || 'demo', {
  baseUrl: get('base-url'),
  token: get('token'),
  transports: get('transport'),
  replay: true,
  stallAfter: STALL_MS,
  debug: get('debug') !== undefined,
  ...(sessionId ? {} : DEMO),
});

class FollowedRun {
  constructor(sessionId, get, target, draw, succeed) {
    this._get = get;
    this._target = target;
    this._draw = draw;
    this._succeed = succeed;
    this._lang = /^en/i.test(get('lang') || document.documentElement.lang) ? 'en' : 'pt-BR';
    this._steps = Number(get('steps')); // number of steps according to the page; NaN if it gives none
    this._model = {};
    this._log = []; // [time, message] of each update of this run that the page saw
    this._lostAt = NaN; // when the connection was lost, NaN while it is fine
    this._isLostForGood = false; // the run can't be followed any more
    this._isErrorTaken = false; // the page canceled the event of the last error, so as to show it itself
    this._isResultTaken = false;
    this._isQueued = false; // a redraw is scheduled
    this._client = makeClient(sessionId, get);
    for (const kind of KINDS) {
      this._client.addEventListener(`rpa:${kind}`, ({ detail }) => this._takeIn(kind, detail));
    }
    this._client.connect();
    this._drawSoon();
  }

  _end() {
    clearInterval(this._timer);
    this._draw = null;
    this._client.disconnect();
  }

  /** Return the snapshot with the age of its step; its number of steps is the page's if given, but at least the step. */
  _snapshot() {
    const snapshot = this._client.snapshot();
    if (!snapshot) return snapshot;
    const steps = this._steps || snapshot.total_etapas;
    return { ...snapshot, total_etapas: Math.max(steps, snapshot.etapa_atual), _stepMs: stepAge(snapshot) };
  }

  _takeIn(kind, detail) {
    const snapshot = this._snapshot();
    const isOurs = this._target.dispatchEvent(new CustomEvent(`rpa:${kind}`, {
      detail, bubbles: true, composed: true, cancelable: CANCELABLE.has(kind),
    }));
    if (kind === 'progress') this._progress(snapshot, detail);
    if (kind === 'connection') {
      // A stream that ended with its run does not count as lost.
      const isFine = detail.connected || snapshot?.final;
      this._lostAt = isFine ? NaN : this._lostAt || Date.now();
    }
    if (kind === 'error') {
      this._isLostForGood = detail.fatal && detail.category !== 'job';
      this._isErrorTaken = !isOurs;
    }
    if (kind === 'result') this._isResultTaken = !isOurs;
    if (kind === 'done' && isQuote(snapshot.estado) && !this._isResultTaken) this._succeed();
    this._drawSoon();
  }

  _progress(snapshot, update) {
    if (snapshot.epoch !== this._model._epoch) this._log.length = 0;
    this._model = applySnapshot(this._model, { ...snapshot, erro: update.erro });
    this._log.push([plainText(update.timestamp).slice(11, 19), plainText(update.mensagem)]);
  }

  _drawSoon() {
    if (!this._isQueued) queueMicrotask(() => this._drawNow()); // so a burst of replayed updates is drawn once
    this._isQueued = true;
  }

  _drawNow() {
    if (!this._draw) return;
    this._isQueued = false;
    const view = this._view();
    const isSettled = view.on.final && loaded._isComplete; // keep drawing until late translations are shown, too
    if (isSettled) {
      clearInterval(this._timer);
      this._timer = undefined;
    } else this._timer ??= setInterval(() => this._drawNow(), 1000);
    this._draw(view);
  }

  _view() {
    const { _get: get } = this;
    const snapshot = this._snapshot();
    if (snapshot && !this._isLostForGood) this._model = advance(this._model, snapshot);
    const view = describe(this._model, snapshot ?? {}, this._lang);
    this._addConnection(view, Date.now());
    if ((this._isErrorTaken && view.on.error) || get('on-error') === 'event') view.erro = '';
    if (this._isResultTaken) view.plans = [];
    return { ...view, log: this._log, lang: this._lang, onRetry: () => this._retry(), contact: get('contact-url') };
  }

  /** Add to *view* what the visitor should know about the connection. */
  _addConnection(view, now) {
    const say = (words) => translate(this._lang, words);
    view.on.offline = now - this._lostAt >= OFFLINE_MS;
    if (view.on.offline) view.aviso = say('Sem conexão. Reconectando… seu pedido continua sendo processado.');
    if (!this._isLostForGood) return;
    view.on = { fault: true, error: true };
    view._kind = 'warn';
    view.estado = say('Acompanhamento interrompido');
    view.erro = say('Não foi possível acompanhar a cotação.');
    view.dica = '';
    view.aviso = '';
    view.eta = '';
  }

  _retry() {
    if (this._isLostForGood) {
      this._isLostForGood = false;
      this._lostAt = NaN;
    }
    this._client.reconnect();
  }
}

/**
 * Follow a session.
 *
 * @param {string} sessionId empty for a demonstration.
 * @param {(name: string) => string | undefined} get returns an option that the page set: lang, steps, base-url etc.
 * @param {EventTarget} target receives the client's events; the page may cancel result and error.
 * @param {(view: object) => void} draw called after changes, never synchronously, and once a second until the run has
 *   ended. The view is that of view.js, with log, lang, onRetry and contact added.
 * @param {() => void} succeed called when the run ends with a quote, unless the page canceled the result event.
 * @returns {() => void} stops following.
 */
export function follow(sessionId, get, target, draw, succeed) {
  const run = new FollowedRun(sessionId, get, target, draw, succeed);
  return () => run._end();
}
