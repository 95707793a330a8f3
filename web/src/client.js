// RPAProgressClient: follows one session over whatever transport works, and reports its progress to the page.
//
// This module has what a page may use: options, properties and methods. coordinator.js does the work; a page can't
// access the coordinator's state.

import { Coordinator } from './coordinator.js';
import { Emitter } from './emitter.js';
import { RPAError } from './errors.js';
import { attempt } from './session-storage.js';

/** Return the defaults of the options; all times are in ms. */
const defaults = ({ reconnectInterval, maxReconnectAttempts }) => ({
  transports: ['websocket', 'sse', 'polling'],
  minDelay: reconnectInterval ?? 500,
  maxDelay: 30000,
  maxAttempts: maxReconnectAttempts ?? Infinity,
  connectTimeout: 8000,
  heartbeatInterval: 15000,
  staleTimeout: 35000,
  minUptime: 5000,
  pollInterval: 2000,
  upgradeAfter: 60000,
  stallAfter: 60000,
  resumeStore: attempt(() => sessionStorage),
  now: Date.now,
  random: Math.random,
});

/** Return the methods of *client*. They don't use `this`, so a page may pass them on as plain functions. */
const methods = (client, coordinator, emitter) => ({
  connect() {
    coordinator._connect();
    return client;
  },
  disconnect() {
    coordinator._close();
  },
  reconnect() {
    coordinator._reconnect();
  },
  snapshot: () => coordinator._intake._snapshot,
  async done() {
    while (!coordinator._run._isFinal && client.state !== 'closed') await emitter._events().next();
    const failure = coordinator._reporter._failure;
    if (failure || !coordinator._run._isFinal) throw failure || new RPAError('closed');
    return coordinator._intake._snapshot;
  },
  stats: () => coordinator._stats(),
  [Symbol.asyncIterator]: () => emitter._events(),
});

/** The client of one session. docs/javascript.rst describes it, rpa-progress.d.ts has its types. */
export class RPAProgressClient extends EventTarget {
  constructor(sessionId, options = {}) {
    super();
    Object.assign(this, defaults(options), { sessionId, state: 'idle', isConnected: false, transport: null, lastSeq: 0 });
    for (const name in options) {
      if (options[name] !== undefined) this[name] = options[name];
    }
    const emitter = new Emitter(this);
    Object.assign(this, methods(this, new Coordinator(this, sessionId, emitter), emitter));
  }
}
