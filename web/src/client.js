// RPAProgressClient: follows one session over whatever transport works, and tells the page.
//
// One closure, because the size of what pages load is bounded; what can stand alone is in the modules below, one
// connection in connection.js. Invariants: at most one link is live, and only what it brings is shown; another that is tried
// meanwhile takes over when it has brought all that the page has seen; every update is told once, in order; after
// close() no timer, no listener and no connection is left.

import { base as baseOf, problem } from './address.js';
import { backoff } from './backoff.js';
import { GIVEN_UP, RPAError } from './errors.js';
import { ladder as makeLadder } from './transport-choice.js';
import { OPEN, linker, slowed } from './connection.js';
import { reduce } from './snapshot.js';
import { attempt, load, save } from './session-storage.js';
import { teller } from './emitter.js';
import { timers } from './timers.js';

const WAKING = ['visibilitychange', 'online', 'offline', 'pageshow', 'securitypolicyviolation'];
const SPREAD = 6700; // ms over which pages come back that lost the server at the same moment
const LINGER = 3000; // ms: robots add a line or two after the end
const HURRY = 0.4; // share of the time to connect while nothing has worked yet and there is another transport

const follow = (self, sessionId, options) => {
  const { _emit: emit, _call: call, _events: events } = teller(self);
  Object.assign(self, {
    sessionId, state: 'idle', isConnected: false, transport: null, lastSeq: 0, now: Date.now, random: Math.random,
    resumeStore: attempt(() => sessionStorage),
    transports: ['websocket', 'sse', 'polling'], minDelay: options.reconnectInterval ?? 500, maxDelay: 30000,
    maxAttempts: options.maxReconnectAttempts ?? Infinity, connectTimeout: 8000, heartbeatInterval: 15000,
    staleTimeout: 35000, minUptime: 5000, pollInterval: 2000, upgradeAfter: 60000, stallAfter: 60000,

    connect() {
      if (isOn) return self;
      isOn = true;
      if (!state?.final) fault = null;
      tries = 0;
      base = baseOf(self.baseUrl);
      store = self.resumeStore;
      rungs = `${self.transports}`.replace('polling', '$&,poll').split(',').filter((name) => OPEN[name]);
      ladder = makeLadder(rungs, load(store, base));
      listen('add');
      const wrong = problem(sessionId, base, rungs);
      if (wrong) close(new RPAError(wrong));
      else {
        state = state || load(store, base + sessionId);
        if (state && !self.lastSeq) show();
        if (isOn) dial();
      }
      return self;
    },
    disconnect: () => close(),
    reconnect() {
      tries = 0;
      if (isOn) dial();
      else self.connect();
    },
    snapshot: () => state,
    _url(link, path, wait = '') {
      const from = place();
      return `${base}${path}/${encodeURIComponent(sessionId)}?${from && link._heals !== 2 ? `after=${from}` : ''}${wait}`;
    },
    async done() {
      while (!state?.final && self.state !== 'closed') await events().next();
      if (fault || !state?.final) throw fault || new RPAError('closed');
      return state;
    },
    [Symbol.asyncIterator]: events,
    stats: () => ({ ...count, tries, live: +!!live, probing: +!!probe, timers: running.size }),
  });
  for (const name in options) if (options[name] !== undefined) self[name] = options[name];

  const { _after: after, _stop: stop, _running: running } = timers(self.setTimeout || setTimeout, self.clearTimeout || clearTimeout);
  const count = { connects: 0, gaps: 0, updates: 0, duplicates: 0, resets: 0 };
  let isOn; // between connect() and close()
  let base;
  let store;
  let rungs;
  let ladder;
  let live; // the link that is shown
  let probe; // the link that is tried meanwhile
  let state = null; // see snapshot.js
  let tries; // failures since something lasted
  let seen; // something was received, ever
  let gap; // the place of the last gap
  let holey; // the epoch whose numbers have holes
  let ended; // the epoch whose end was told
  let told; // the code of the last error that was told, null while connected
  let fault; // what done() rejects with
  let notBefore; // when the server wants us back

  // -- telling the page

  const tell = (error) => emit('error', error, 'onError', error._text);

  const set = (to, error) => {
    const hasChanged = self.isConnected !== (self.isConnected = to === 'open');
    const detail = { state: to, transport: rungs[ladder._at], connected: self.isConnected, error };
    Object.assign(self, detail);
    emit('connection', detail, 'onStateChange', to);
    if (hasChanged) call('onConnectionChange', detail.connected, detail);
  };

  /** Tell the news: *update*, or the whole state where there is none. */
  const show = (update, before) => {
    const s = state;
    const fresh = (key, type, name) => s[key] && JSON.stringify(s[key]) !== JSON.stringify(before?.[key])
      && emit(type, s[key], name);
    self.lastSeq = s.seq;
    count.updates++;
    save(store, base + sessionId, s.final ? null : s);
    if (s.final) after(show, LINGER, close);
    else after(show, self.stallAfter, () => emit('stall', s));
    emit('progress', update || { ...s, type: 'progress_update', etapa: s.etapa_atual, timestamp: s.timestamp_atualizacao }, 'onProgressUpdate');
    fresh('estimativas', 'estimate', 'onEstimate');
    fresh('resultado', 'result', 'onResult');
    if (s.final && ended !== s.epoch) {
      ended = s.epoch;
      fault = /^(suc|cot)/.test(s.estado) ? null
        : new RPAError(s.estado === 'expirado' ? 'job_timeout' : 'job_failed', [...s.erros].pop()?.erro || s.mensagem, { fatal: true });
      if (fault) tell(fault);
      emit('done', s);
    }
  };

  // -- which link

  const place = () => (state?.epoch ? `${state.epoch}:${state.seq}` : self.replay ? '0' : '');

  const drop = () => {
    live?._drop();
    probe?._drop();
    live = probe = null;
  };

  const dial = () => {
    stop(dial);
    drop();
    live = open(ladder._at, 0, seen || !rungs[ladder._at + 1] ? 1 : HURRY);
    set('connecting');
  };

  /** Try a better rung in *ms*, beside the one that works. */
  const climb = (ms = self.upgradeAfter * (0.75 + self.random() / 2)) => {
    if (ladder._at) after(climb, ms, () => {
      if (self.isConnected && !probe) probe = open(count.connects % Math.min(ladder._at, 2));
      else climb();
    });
  };

  /** Take in the end of *link*; without an error the run is over and everything was seen. */
  const over = (link, error) => {
    if (link._isOver) return;
    link._drop();
    if (link === probe) {
      probe = null;
      if (link._heals) live._ended(new RPAError('protocol'));
      else climb();
      return;
    }
    drop();
    if (!error || state?.final) return close();
    const isOffline = globalThis.navigator?.onLine === false; // says nothing about the transport
    if (tries >= self.maxAttempts) {
      error._text = GIVEN_UP;
      error.fatal = true;
    }
    if (error.fatal || !(isOffline || ladder._failed(error, link._delivered))) return close(error);
    notBefore = self.now() + (error._after || 0);
    error.retryAt = notBefore
      + slowed(backoff(tries++, self.minDelay, self.maxDelay, self.random(), seen && error.code !== 'stale' ? SPREAD : 0));
    after(dial, error.retryAt - self.now());
    set(isOffline ? 'offline' : 'waiting', error);
    if (told !== (told = error.code)) tell(error);
  };

  /** Take in message *m* of *link*. */
  const heard = (link, m) => {
    if (m.type === 'error') link._why = m; // the end that follows has but a number
    if (link._isOver || m === link._why) return;
    const before = state;
    const isProbe = link === probe;
    const isNew = isProbe || !link._delivered;
    if (m.type === 'sync') link._quiet = Math.max(self.staleTimeout, 2 * m.heartbeat_ms + 5000 || 0);
    link._delivered = true;
    if (isProbe) {
      // Not yet: the page has seen more than what led to this message.
      if (before && (m.epoch === before.epoch ? m.seq < before.seq : m.type !== 'sync')) return;
      live._drop();
      live = link;
      probe = null;
    }
    if (isNew) {
      ladder._at = link._at;
      told = null;
      seen = true;
      stop(climb);
      climb();
      if (before?.final) after(show, LINGER, close);
      set('open');
    }
    if (link._isOver) return; // the page's doing
    const [next, what] = reduce(before, m, holey === before?.epoch);
    if (what === 'old') count.duplicates++;
    if (what === 'gap' && !probe?._heals) {
      probe?._drop();
      probe = open(live._at, 1 + (gap === (gap = place())));
      count.gaps++;
    }
    if (next === before) return;
    state = next;
    if (what === 'reset' && before) {
      count.resets++;
      if (link._heals) holey = next.epoch; // nobody can fill it
    }
    if (what !== 'place') show(what === 'next' && m, before);
  };

  /** Note that *link* is no short life any more. */
  const lasted = (link) => {
    if (link !== live) return;
    tries = 0;
    ladder._stay(link._at);
    save(store, base, self.transport);
  };

  const connected = linker(self, after, stop, tell, heard, lasted, over);

  /** Open a link by the rung *at*, see connection.js, with a *share* of the time to connect. */
  const open = (at, heals, share = 1) => {
    count.connects++;
    return connected(rungs[at], at, self.connectTimeout * share, heals, rungs.indexOf('poll'));
  };

  // -- the surroundings

  const wake = ({ disposition, blockedURI }) => {
    if (blockedURI) {
      if (disposition === 'enforce' && !live?._delivered && `${blockedURI}/`.startsWith(base)) live?._ended(new RPAError('csp_blocked'));
    } else if (!globalThis.document?.hidden) {
      climb(1000 * self.random());
      if (live) live._prove();
      else after(dial, notBefore - self.now());
    }
  };
  const listen = (what) => WAKING.forEach((name) => globalThis[`${what}EventListener`]?.(name, wake, true));

  const close = (error) => {
    if (!isOn) return;
    isOn = false;
    drop();
    running.forEach((timer, key) => stop(key));
    listen('remove');
    if (error) {
      error.fatal = true;
      tell(fault = error);
    }
    set('closed', error);
  };
};

/** See docs/javascript.rst and rpa-progress.d.ts. */
export class RPAProgressClient extends EventTarget {
  constructor(sessionId, options = {}) {
    super();
    follow(this, sessionId, options);
  }
}
