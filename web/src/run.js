// One session as it is watched: the client, what the widget makes of its state, and the connection beside it.
//
// Knows nothing of how it is shown. A run may be fine while its connection is down and the other way round, so the
// two are told apart. Once it is ended no timer is left.

import { RPAProgressClient } from './client.js';
import { DemoSocket } from './demo.js';
import { describe, move, take } from './model.js';
import { text } from './money.js';
import { say } from './texts.js';

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
  let fault;
  let isTaken;
  let isQueued;
  const client = new RPAProgressClient(sessionId || 'demo', {
    baseUrl: get('base-url'), token: get('token'), transports: get('transport')?.split(','), replay: true, stallAfter: STALL_MS,
    debug: get('debug') !== undefined, ...(!sessionId && { WebSocket: DemoSocket, baseUrl: 'https://demo', resumeStore: null }),
  });
  const steps = +get('steps');
  const look = () => {
    const s = client.snapshot();
    return s && steps ? { ...s, total_etapas: Math.max(steps, s.etapa_atual) } : s;
  };
  const show = () => {
    const s = look();
    const now = Date.now();
    if (s) model = move(model, s, now);
    const view = describe(model, s ?? {}, lang);
    const { on } = view;
    isQueued = false;
    on.offline = now - lostAt >= OFFLINE_MS;
    if (on.offline) view.aviso = say(lang, 'Sem conexão. Reconectando… seu pedido continua sendo processado.');
    if (fault) {
      view.estado = say(lang, 'erro');
      view.erro = say(lang, 'Não foi possível acompanhar a cotação.');
      on.error = on.fault = true;
    }
    if (isTaken || get('on-error') === 'event') view.erro = '';
    if (isTaken) view.plans = [];
    if (on.final) clearInterval(timer);
    draw({ ...view, log, lang, redo, contact: get('contact-url') });
  };
  const changed = () => {
    if (!isQueued) queueMicrotask(show); // a burst of replayed updates is drawn once
    isQueued = true;
  };
  const redo = () => {
    fault = false;
    client.reconnect();
  };
  const timer = setInterval(show, 1000);
  for (const kind of ['progress', 'estimate', 'result', 'error', 'connection', 'stall', 'done']) {
    client.addEventListener(`rpa:${kind}`, ({ type, detail }) => {
      const s = look();
      const isOurs = target.dispatchEvent(new CustomEvent(type, {
        detail, bubbles: true, composed: true, cancelable: /^(res|err)/.test(kind),
      }));
      if (kind === 'progress') {
        if (s.epoch !== model._epoch) log.length = 0;
        model = take(model, { ...s, erro: detail.erro }, Date.now());
        log.push([text(detail.timestamp).slice(11, 19), text(detail.mensagem), []]);
      }
      // A stream that ended with its run was not lost.
      if (kind === 'connection') lostAt = detail.connected || s?.final ? NaN : lostAt || Date.now();
      if (kind === 'error') fault = isOurs && detail.fatal && detail.category !== 'job';
      if (!isOurs) isTaken = true;
      if (kind === 'done' && s.estado === 'sucesso' && !isTaken) succeed();
      changed();
    });
  }
  client.connect();
  changed();
  return () => {
    clearInterval(timer);
    draw = () => {};
    client.disconnect();
  };
}
