// RPAProgressClient: follows one session over whatever transport works, and tells the page.
//
// One closure, because the size of what pages load is bounded; what can stand alone is in the modules below. Invariants:
// at most one link is live, and only what it brings is shown; another that is tried meanwhile takes over when it has
// brought all that the page has seen; every update is told once, in order; after close() no timer, no listener and no
// connection is left. Silence is measured by the clock, not by timers: those of hidden and sleeping pages come late.

import { base as baseOf, problem } from './address.js';
import { backoff } from './backoff.js';
import { BLOCKED, GIVEN_UP, RPAError } from './errors.js';
import { ladder as makeLadder } from './ladder.js';
import { reduce } from './state.js';
import { load, save, storage } from './store.js';
import { teller } from './tell.js';
import { timers } from './timers.js';
import { poll, polling, sse, websocket } from './transports.js';

const OPEN = { websocket, sse, polling, poll };
const WAKING = ['online', 'offline', 'pageshow', 'visibilitychange', 'securitypolicyviolation'];
const SPREAD = 6700; // ms over which pages come back that lost the server at the same moment
const LINGER = 3000; // ms: robots add a line or two after the end
const LATE = 1000; // ms: a check that is later than this was held up by sleep
const ANSWER = 2000; // ms for a sign of life that was asked for
const HURRY = 0.4; // share of the time to connect while nothing has worked yet and there is another transport

const follow = (self, sessionId, options) => {
  Object.assign(self, {
    sessionId, state: 'idle', isConnected: false, transport: null, lastSeq: 0,
    transports: ['websocket', 'sse', 'polling'], minDelay: options.reconnectInterval ?? 500, maxDelay: 30000,
    maxAttempts: options.maxReconnectAttempts ?? Infinity, connectTimeout: 8000, heartbeatInterval: 15000,
    staleTimeout: 35000, minUptime: 5000, pollInterval: 2000, upgradeAfter: 60000, stallAfter: 60000,

    connect() {
      if (isOn) return self;
      isOn = true;
      fault = null;
      tries = 0;
      base = baseOf(self.baseUrl);
      store = storage(self.resumeStore);
      rungs = `${self.transports}`.replace('polling', '$&,poll').split(',').filter((name) => OPEN[name]);
      ladder = makeLadder(rungs, load(store, base));
      listen('add');
      const wrong = problem(sessionId, base, rungs);
      if (wrong) close(wrong);
      else {
        state = state || load(store, base + sessionId);
        if (state && !self.lastSeq) show();
        if (isOn) dial();
      }
      return self;
    },
    disconnect: () => close(),
    reconnect() {
      if (!isOn) return self.connect();
      tries = 0;
      dial();
    },
    snapshot: () => state,
    async done() {
      if (!state?.final) for await (const event of events()) if (state?.final) break;
      if (fault || !state?.final) throw fault || new RPAError('closed');
      return state;
    },
    [Symbol.asyncIterator]: () => events(),
    stats: () => ({ ...count, tries, live: +!!live, probing: +!!probe, timers: running.size }),
  });
  for (const name in options) if (options[name] !== undefined) self[name] = options[name];

  const { now = Date.now, random = Math.random, setTimeout: later = setTimeout, clearTimeout: cancel = clearTimeout } = self;
  const { _after: after, _stop: stop, _running: running } = timers(later, cancel);
  const { _emit: emit, _call: call, _events: events } = teller(self);
  const count = { connects: 0, gaps: 0, updates: 0, duplicates: 0, resets: 0 };
  let isOn; // between connect() and close()
  let base;
  let store;
  let rungs;
  let ladder;
  let live; // the link that is shown
  let probe; // the link that is tried meanwhile
  let state = null; // see state.js
  let tries; // failures since something lasted
  let seen; // something was received, ever
  let gap; // the place of the last gap
  let holey; // the epoch whose numbers have holes
  let ended; // the epoch whose end was told
  let told; // the code of the last error that was told, null while connected
  let fault; // what done() rejects with
  let notBefore; // when the server wants us back
  let isBlocked; // the page's policy forbade what is being tried

  // -- telling the page

  const tell = (error) => emit('error', error, 'onError', error._text);

  const set = (to, error) => {
    const connected = to === 'open';
    const hasChanged = connected !== self.isConnected;
    const detail = { state: to, transport: rungs[ladder._at], connected, error };
    Object.assign(self, detail, { isConnected: connected });
    emit('connection', detail, 'onStateChange', to);
    if (hasChanged) call('onConnectionChange', connected, detail);
  };

  const stall = () => emit('stall', state);

  /** Tell the news: *update*, or the whole state where there is none. */
  const show = (update, before) => {
    const s = state;
    const fresh = (key, type) => s[key] && JSON.stringify(s[key]) !== JSON.stringify(before?.[key])
      && emit(type.toLowerCase(), s[key], `on${type}`);
    self.lastSeq = s.seq;
    count.updates++;
    save(store, base + sessionId, s.final ? null : s);
    stop(s.final ? stall : close);
    if (s.final) after(close, LINGER);
    else after(stall, self.stallAfter);
    emit('progress', update || { ...s, type: 'progress_update', etapa: s.etapa_atual, timestamp: s.timestamp_atualizacao }, 'onProgressUpdate');
    fresh('estimativas', 'Estimate');
    fresh('resultado', 'Result');
    if (s.final && ended !== s.epoch) {
      ended = s.epoch;
      if (!/^(suc|cot)/.test(s.estado)) {
        fault = new RPAError(s.estado === 'expirado' ? 'job_timeout' : 'job_failed', [...s.erros].pop()?.erro || s.mensagem, { fatal: true });
        tell(fault);
      }
      emit('done', s);
    }
  };

  // -- one link

  const place = () => (state?.epoch ? `${state.epoch}:${state.seq}` : self.replay ? '0' : '');
  const isHidden = () => globalThis.document?.visibilityState === 'hidden';
  const slowed = (ms) => (isHidden() ? ms * 5 : ms);

  /**
   * Open a connection and watch it: that it delivers soon, and that it does not fall silent.
   *
   * @param {number} at the rung.
   * @param {number} [heals] 1: it is to fill a gap, 2: by the whole state.
   * @param {number} [share] of connectTimeout that it has.
   */
  const open = (at, heals, share = 1) => {
    const born = now();
    let last = born; // when something came
    let due;
    let proof = 0; // when a sign of life was asked for
    let end;
    count.connects++;
    const ping = () => link._delivered && end._ping?.();

    const watch = () => {
      const time = now();
      const isAsked = proof > last;
      // Where nothing can be asked for, the server's own heartbeat sets the pace.
      const dead = isAsked ? proof + ANSWER
        : last + (link._delivered ? Math.max(self.staleTimeout, 2 * link._beat + 5000) : self.connectTimeout * share);
      if (time < dead) {
        if (link._delivered && time - born >= self.minUptime && link === live) {
          tries = 0;
          ladder._stay(at);
          save(store, base, rungs[at]);
        }
        if (time - last >= self.heartbeatInterval) ping();
        due = Math.min(dead, time + self.heartbeatInterval / 3);
        after(watch, due - time);
      } else if (!isAsked && time - due >= LATE) ask(); // what came while it slept may still be queued
      else link._ended(new RPAError(link._delivered ? 'stale' : 'connect_timeout', '', { _next: !link._delivered }));
    };
    const ask = () => {
      proof = now();
      ping();
      watch();
    };

    const link = {
      _at: at,
      _heals: heals,
      _client: self,
      _why: {},
      _beat: 15000,
      _after: (ms, work) => link._isOver || after(link, slowed(ms), work),
      _url(path, wait = '') {
        const after = heals > 1 ? '' : place();
        return `${base}${path}/${encodeURIComponent(sessionId)}?${after && `after=${after}`}${wait && `&wait=${wait}`}`;
      },
      _message(message) {
        last = now();
        if (!link._isOver && message) heard(link, message);
      },
      _text(json) {
        let message;
        try {
          message = JSON.parse(json);
        } catch (error) {
          tell(new RPAError('protocol', error.message));
        }
        link._message(message);
      },
      _ended(error) {
        if (!link._isOver) over(link, error);
      },
      _drop() {
        link._isOver = true;
        stop(watch);
        stop(link);
        end?.();
      },
      /** Make sure that it lives: the page woke up, or the network changed. */
      _prove() {
        if (link._delivered && (end._ping || now() - last > link._beat + ANSWER)) ask();
      },
    };
    (async () => {
      const token = await (self.token?.call ? self.token() : self.token);
      if (!link._isOver) end = OPEN[rungs[at]](link, token);
    })().catch((error) => link._ended(new RPAError('auth', error?.message)));
    watch();
    return link;
  };

  // -- which link

  const drop = () => {
    live?._drop();
    probe?._drop();
    live = probe = null;
  };

  const dial = () => {
    stop(dial);
    drop();
    isBlocked = false;
    live = open(ladder._at, 0, seen || !rungs[ladder._at + 1] ? 1 : HURRY);
    set('connecting');
  };

  /** Try a better rung in *ms*, beside the one that works. */
  const climb = (ms = self.upgradeAfter * (0.75 + random() / 2)) => {
    if (ladder._at) after(climb, ms, () => {
      if (self.isConnected && !probe) probe = open(count.connects % ladder._at);
      else climb();
    });
  };

  /** Take in the end of *link*; without an error the run is over and everything was seen. */
  const over = (link, error) => {
    link._drop();
    if (link === probe) {
      probe = null;
      if (link._heals) live._ended(new RPAError('protocol'));
      else climb();
      return;
    }
    drop();
    if (!error || state?.final) return close();
    if (isBlocked && !link._delivered) error = new RPAError('csp_blocked', '', BLOCKED);
    const isOffline = globalThis.navigator?.onLine === false; // says nothing about the transport
    const isLeft = isOffline || ladder._failed(error, link._delivered);
    const isUp = tries >= self.maxAttempts;
    if (isUp) error._text = GIVEN_UP;
    if (error.fatal || isUp || !isLeft) return close(error);
    notBefore = now() + (error._after || 0);
    error.retryAt = notBefore
      + slowed(backoff(tries++, self.minDelay, self.maxDelay, random(), seen && error.code !== 'stale' ? SPREAD : 0));
    after(dial, error.retryAt - now());
    set(isOffline ? 'offline' : 'waiting', error);
    if (error.code !== told) tell(error);
    told = error.code;
  };

  /** Take in message *m* of *link*. */
  const heard = (link, m) => {
    if (m.type === 'error') {
      link._why = m; // the end that follows has but a number
      return;
    }
    const before = state;
    const isProbe = link === probe;
    const isNew = isProbe || !link._delivered;
    link._beat = m.heartbeat_ms || link._beat;
    link._delivered = true;
    if (isProbe) {
      // Not yet: the page has seen more than what led to this message.
      if (before && (m.epoch === before.epoch ? m.seq < before.seq : m.type !== 'sync')) return;
      ladder._at = link._at;
      live._drop();
      live = link;
      probe = null;
    }
    if (isNew) {
      told = null;
      seen = true;
      stop(climb);
      climb();
      if (before?.final) after(close, LINGER);
      set('open');
    }
    if (link._isOver) return; // the page's doing
    const [next, what] = reduce(before, m, holey === before?.epoch);
    if (what === 'old') count.duplicates++;
    if (what === 'gap' && !probe?._heals) {
      probe?._drop();
      probe = open(live._at, place() === gap ? 2 : 1);
      gap = place();
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

  // -- the surroundings

  const wake = ({ blockedURI }) => {
    if (blockedURI) isBlocked = isBlocked || `${blockedURI}/`.includes(base.slice(7));
    else if (!isHidden()) {
      if (running.has(dial)) after(dial, notBefore - now());
      if (running.has(climb)) climb(1000 * random());
      live?._prove();
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
