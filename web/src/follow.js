// One session as it is watched: the client, what the widget makes of its state, and the connection beside it.
//
// Knows nothing of how it is shown. A run may be fine while its connection is down and the other way round, so the
// two are told apart; and where it can't be followed any more, that says nothing of the run. Once it is ended no timer is
// left.

import { RPAProgressClient } from './client.js';
import { DemoSocket } from './demo-socket.js';
import { describe, move, take } from './run-model.js';
import { text } from './money.js';
import { learned, say } from './words.js';

const OFFLINE_MS = 8000;
const STALL_MS = 260_000; // no step is usually silent for longer

/**
 * Follow a session.
 *
 * @param {string} sessionId nothing for a demonstration.
 * @param {(name: string) => string | undefined} get tells what the page set: lang, demo, base-url and so on.
 * @param {EventTarget} target gets the client's events, which the page may cancel.
 * @param {(view: object) => void} draw called after changes, never synchronously, and once a second while the run goes
 *   on. view is that of model.describe().
 * @param {() => void} succeed called at the end with a quote, unless the page took the result over.
 * @returns {() => void} ends it.
 */
export function follow(sessionId, get, target, draw, succeed) {
  const lang = /^en/i.test(get('lang') || document.documentElement.lang) ? 'en' : 'pt-BR';
  const log = [];
  let model = {};
  let lostAt;
  let fault; // it can't be followed any more
  let isMuted; // the page shows the last error itself
  let isTaken; // and the result
  let isQueued;
  let timer;
  const client = new RPAProgressClient(sessionId || 'demo', {
    baseUrl: get('base-url'), token: get('token'), transports: get('transport'), replay: true, stallAfter: STALL_MS,
    debug: get('debug') !== undefined, ...(!sessionId && { WebSocket: DemoSocket, baseUrl: 'https://demo', resumeStore: null }),
  });
  const steps = +get('steps');
  const look = () => {
    const s = client.snapshot();
    return s && { ...s, total_etapas: Math.max(steps || s.total_etapas, s.etapa_atual) };
  };
  const show = () => {
    if (!draw) return;
    const s = look();
    const now = Date.now();
    if (s && !fault) model = move(model, s, now);
    const view = describe(model, s ?? {}, lang);
    let { on } = view;
    isQueued = false;
    on.offline = now - lostAt >= OFFLINE_MS;
    if (on.offline) view.aviso = say(lang, 'Sem conexão. Reconectando… seu pedido continua sendo processado.');
    if (fault) {
      view.on = on = { fault, error: true };
      view.estado = say(lang, 'Acompanhamento interrompido');
      view.erro = say(lang, 'Não foi possível acompanhar a cotação.');
      view.dica = view.aviso = view.eta = '';
    }
    if ((isMuted && on.error) || get('on-error') === 'event') view.erro = '';
    if (isTaken) view.plans = [];
    if (on.final && learned._isWhole) timer = clearInterval(timer);
    else timer ??= setInterval(show, 1000); // words that come late are shown, too
    draw({ ...view, log, lang, redo, contact: get('contact-url') });
  };
  const changed = () => {
    if (!isQueued) queueMicrotask(show); // a burst of replayed updates is drawn once
    isQueued = true;
  };
  const redo = () => {
    if (fault) fault = lostAt = NaN;
    client.reconnect();
  };
  for (const kind of 'progress estimate result error connection stall done'.split(' ')) {
    client.addEventListener(`rpa:${kind}`, ({ type, detail }) => {
      const s = look();
      const isOurs = target.dispatchEvent(new CustomEvent(type, {
        detail, bubbles: true, composed: true, cancelable: /^re|^er/.test(kind),
      }));
      if (kind === 'progress') {
        if (s.epoch !== model._epoch) log.length = 0;
        model = take(model, { ...s, erro: detail.erro }, Date.now());
        log.push([text(detail.timestamp).slice(11, 19), text(detail.mensagem)]);
      }
      // A stream that ended with its run was not lost.
      if (kind === 'connection') lostAt = detail.connected || s?.final ? NaN : lostAt || Date.now();
      if (kind === 'error') {
        fault = detail.fatal && detail.category !== 'job';
        isMuted = !isOurs;
      }
      if (kind === 'result') isTaken = !isOurs;
      if (kind === 'done' && s.estado === 'sucesso' && !isTaken) succeed();
      changed();
    });
  }
  client.connect();
  changed();
  return () => {
    clearInterval(timer);
    draw = null;
    client.disconnect();
  };
}
