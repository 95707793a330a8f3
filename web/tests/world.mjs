// A world for tests: a clock that jumps, a server that keeps runs, and a network between page and server that can be
// made to fail in every way. Nothing here waits in real time.

import { RPAProgressClient } from '../src/client.js';

globalThis.CustomEvent ??= class extends Event { // Node 18 has none
  constructor(type, options) {
    super(type, options);
    this.detail = options?.detail;
  }
};

/** Return a function like Math.random that gives the same numbers for the same seed (mulberry32). */
export function seeded(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const isBefore = (one, other) => one.at < other.at || (one.at === other.at && one.id < other.id);

export const settle = () => new Promise((go) => setImmediate(go));

/** Time that passes only in run() and sleep(). Timers that are due during sleep() run late, as in a browser. */
export class Clock {
  constructor(start = 1_700_000_000_000) {
    this.time = start;
    this.heap = []; // a binary heap of timers, the next one on top; the work of a cleared one is null
    this.timers = new Map(); // the running ones by id
    this.ids = 0;
    this.now = () => this.time;
    this.setTimeout = (work, ms = 0) => {
      const timer = { id: ++this.ids, at: this.time + Math.max(0, ms || 0), work };
      this.timers.set(timer.id, timer);
      this.push(timer);
      return timer.id;
    };
    this.clearTimeout = (id) => {
      if (this.timers.has(id)) this.timers.get(id).work = null;
      this.timers.delete(id);
    };
  }

  push(timer) {
    const { heap } = this;
    let i = heap.push(timer) - 1;
    for (let up = (i - 1) >> 1; i && isBefore(timer, heap[up]); i = up, up = (i - 1) >> 1) heap[i] = heap[up];
    heap[i] = timer;
  }

  pop() {
    const { heap } = this;
    const [top] = heap;
    const last = heap.pop();
    if (!heap.length) return top;
    let i = 0;
    for (let down = 1; down < heap.length; i = down, down = 2 * i + 1) {
      if (down + 1 < heap.length && isBefore(heap[down + 1], heap[down])) down++;
      if (!isBefore(heap[down], last)) break;
      heap[i] = heap[down];
    }
    heap[i] = last;
    return top;
  }

  /** Remove the next running timer from the heap and return it; undefined if none is due by *end*. */
  due(end) {
    while (this.heap.length && (!this.heap[0].work || this.heap[0].at <= end)) {
      const timer = this.pop();
      if (timer.work) return timer;
    }
    return undefined;
  }

  /** Let *ms* pass: run each timer at its time, and after each the promises that it resolved. */
  async run(ms) {
    const end = this.time + ms;
    await settle();
    for (let timer = this.due(end); timer; timer = this.due(end)) {
      this.time = Math.max(this.time, timer.at);
      this.timers.delete(timer.id);
      timer.work();
      await settle();
    }
    this.time = end;
  }

  /** Let *ms* pass without running anything: the machine sleeps. Overdue timers run when the next run() begins. */
  sleep(ms) {
    this.time += ms;
  }
}

/** The server: the updates of one session, and the streams that get them. Messages are as in docs/api.rst. */
export class Server {
  constructor(history = 500, now = Date.now) {
    this.history = history;
    this.now = now;
    this.begin('5f0c9a1be2d34c77');
    this.listeners = new Set();
    this.heartbeat = 15000;
  }

  begin(epoch) {
    this.epoch = epoch;
    this.updates = [];
    this.beganAt = undefined;
    this.sparse = false;
  }

  /** Return how old the run is. */
  ages() {
    return { idade_ms: this.now() - this.reportedAt, duracao_ms: this.now() - this.beganAt };
  }

  get seq() {
    return this.updates.length ? this.updates[this.updates.length - 1].seq : 0;
  }

  get final() {
    return this.updates.some((update) => update.final);
  }

  /** Publish the robot's next update, with the fields of *more*; return it. */
  publish(more = {}) {
    const seq = this.sparse ? this.seq + 1000 : this.seq + 1;
    const update = {
      type: 'progress_update', epoch: this.epoch, seq, final: false, estado: 'executando', session_id: 's', evento: 'progresso',
      etapa: Math.min(seq, 15), total_etapas: 15, percentual: Math.min(99, seq), status: 'executando', mensagem: `passo ${seq}`,
      timestamp: `2025-10-09T19:19:${String(seq % 60).padStart(2, '0')}`, dados_extra: {}, ...more,
    };
    this.updates.push(update);
    this.reportedAt = this.now();
    this.beganAt ??= this.reportedAt;
    this.listeners.forEach((listener) => listener(update));
    return update;
  }

  finish(estado = 'sucesso', more = {}) {
    const resultado = estado === 'sucesso' ? { plano_recomendado: { valor: 'R$ 1,00' } } : {};
    return this.publish({ evento: 'final', final: true, estado, status: estado, percentual: 100, resultado, ...more });
  }

  snapshot() {
    const last = this.updates[this.updates.length - 1];
    if (!last) return null;
    const end = this.updates.find((update) => update.final);
    const steps = this.updates.filter((update) => update.evento === 'progresso');
    return {
      session_id: 's', epoch: this.epoch, seq: this.seq, etapa_atual: last.etapa, total_etapas: 15, percentual: last.percentual,
      status: last.status, mensagem: steps[steps.length - 1]?.mensagem, timestamp_inicio: this.updates[0].timestamp, timestamp_atualizacao: last.timestamp,
      dados_extra: {}, erros: [], estado: end?.estado ?? last.estado, final: Boolean(end), estimativas: null,
      resultado: end?.resultado?.plano_recomendado ? end.resultado : null, ...this.ages(),
    };
  }

  /** Return the updates after *cursor*; null if the server can't tell that none is missing. */
  since(cursor) {
    if (!cursor || !this.updates.length) return null;
    const [epoch, text] = cursor === '0' ? [this.epoch, '0'] : cursor.split(':');
    const seq = Number(text);
    if (epoch !== this.epoch || seq > this.seq) return null;
    if (seq === this.seq) return [];
    const missed = this.updates.filter((update) => update.seq > seq);
    return this.sparse || missed.length > this.history || missed[0].seq !== seq + 1 ? null : missed;
  }

  /** Return the first messages of a stream that begins at *cursor*. */
  greeting(cursor) {
    const missed = this.since(cursor);
    const at = missed ? { epoch: this.epoch, seq: this.seq - missed.length } : { epoch: this.updates.length ? this.epoch : null, seq: this.seq };
    return [
      { type: 'sync', session_id: 's', ...at, recovered: Boolean(missed), snapshot: missed ? null : this.snapshot(), ...this.ages(), heartbeat_ms: this.heartbeat },
      ...(missed ?? []),
    ];
  }

  poll(cursor) {
    if (!this.updates.length) {
      return [404, { type: 'error', code: 'session_not_found', message: '', temporary: true }];
    }
    const missed = this.since(cursor);
    return [200, {
      session_id: 's', epoch: this.epoch, seq: this.seq, recovered: Boolean(missed), snapshot: this.snapshot(), updates: missed ?? [],
    }];
  }
}

/**
 * The network and the browser's side of it.
 *
 * `up`: the server answers, else everything is refused. `ws`, `sse`, `poll` say how a request ends: 'ok', 'refuse',
 * 'hang' (nothing comes back), 'mute' (a stream opens, then silence) or 'die' (a stream delivers, then breaks after
 * `life` ms). `ws` may also be a close code, 'full' (an error message, then close code 1013), 'csp' (blocked by the
 * page's policy), an Error that the constructor throws, or a function that gets the open socket; `sse` and `poll` a
 * function that returns the response to a URL. `mangle(message)` returns the list of messages that arrive on a stream
 * instead of *message*.
 */
export class World {
  constructor(seed = 1) {
    this.clock = new Clock();
    this.server = new Server(500, this.clock.now);
    this.random = seeded(seed);
    this.latency = 20;
    this.up = true;
    this.ws = this.sse = this.poll = 'ok';
    this.life = 50;
    this.finishes = true; // whether the server ends streams of a finished run
    this.mangle = (message) => [message];
    this.sockets = new Set(); // those that are open or opening
    this.streams = new Set();
    this.waiting = new Set(); // polls whose answer the server delays
    this.attempts = []; // [time, kind] of each request
    this.pings = 0;
    const world = this;
    this.WebSocket = function Socket(...args) {
      return new FakeSocket(world, ...args);
    };
    this.fetch = (url, options) => fetchFrom(world, url, options);
  }

  /** Make a client in this world, with *options* added to those that it needs there. */
  client(options = {}) {
    const { clock, random, WebSocket, fetch } = this;
    return new RPAProgressClient('s', {
      baseUrl: 'https://rpa.test/', resumeStore: null, now: clock.now, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout,
      random, WebSocket, fetch, ...options,
    });
  }

  later(ms, work) {
    this.clock.setTimeout(work, ms);
  }

  /** End every connection and refuse new ones; *code* is what a WebSocket is closed with. */
  stop(code = 1006) {
    this.up = false;
    this.cut(code);
  }

  cut(code = 1006) {
    for (const end of [...this.sockets, ...this.streams, ...this.waiting]) end.cut(code);
  }

  start() {
    this.up = true;
  }

  get open() {
    return this.sockets.size + this.streams.size;
  }
}

class FakeSocket {
  constructor(world, url, protocols) {
    this.world = world;
    this.readyState = 0;
    this.url = new URL(url);
    this.protocols = protocols;
    world.attempts.push([world.clock.time, 'websocket']);
    world.sockets.add(this);
    const how = world.up ? world.ws : 'refuse';
    if (how instanceof Error) {
      world.sockets.delete(this);
      throw how;
    }
    world.later(world.latency, () => this.answer(how));
  }

  answer(how) {
    if (this.readyState > 1) return;
    if (how === 'csp') {
      this.readyState = 3;
      this.world.sockets.delete(this);
      this.onerror?.({});
    } else if (how === 'refuse') this.cut(1006);
    else if (how !== 'hang') this.begin(how);
  }

  begin(how) {
    const { world } = this;
    this.readyState = 1;
    this.onopen?.({});
    if (typeof how === 'number') return void world.later(1, () => this.cut(how));
    if (how instanceof Function) return void how(this);
    if (how === 'full') {
      this.onmessage?.({ data: '{"type":"error","code":"full","message":"Cheio.","temporary":true,"retry_after_ms":4000}' });
      return void world.later(1, () => this.cut(1013));
    }
    if (how === 'mute') return;
    this.listen = (message) => this.send_(message);
    world.server.listeners.add(this.listen);
    world.server.greeting(this.url.searchParams.get('after')).forEach(this.listen);
    if (world.server.final) this.finish();
    if (how === 'die') world.later(world.life, () => this.cut(1006));
  }

  send_(message) {
    const arriving = this.world.mangle(message);
    this.isLossy ||= !arriving.includes(message);
    for (const each of arriving) {
      this.world.later(this.world.latency, () => this.readyState === 1 && !this.frozen && this.onmessage?.({ data: JSON.stringify(each) }));
    }
    if (message.final) this.finish();
  }

  /** Close the socket after the end of the run: with 4410 (everything was sent), or 1006 if mangle() dropped some. */
  finish() {
    if (this.world.finishes) this.world.later(2000, () => this.cut(this.isLossy ? 1006 : 4410));
  }

  send(text) {
    if (this.readyState === 0) throw new DOMException('still connecting', 'InvalidStateError');
    this.world.pings++;
    if (this.readyState === 1 && !this.frozen && JSON.parse(text).type === 'ping') this.send_({ type: 'pong' });
  }

  /** The server or the network ends the connection. */
  cut(code) {
    if (this.readyState > 2) return;
    this.leave();
    if (this.frozen) return; // nothing reaches the page, not even the close event
    this.readyState = 3;
    if (code === 1006) this.onerror?.({});
    this.onclose?.({ code, reason: '', wasClean: code !== 1006 });
  }

  close() {
    this.leave();
    this.readyState = 3;
  }

  leave() {
    this.world.sockets.delete(this);
    this.world.server.listeners.delete(this.listen);
  }
}

const ROUTES = { events: 'sse', api: 'poll' };

function fetchFrom(world, address, { signal }) {
  const url = new URL(address);
  const kind = ROUTES[url.pathname.split('/')[1]];
  const wait = Number(url.searchParams.get('wait') ?? 0) * 1000;
  world.attempts.push([world.clock.time, kind === 'poll' && wait ? 'polling' : kind]);
  const ended = new AbortController(); // removes this request's listeners from the signal
  return new Promise((resolve, reject) => {
    const fail = () => reject(new TypeError('Failed to fetch'));
    if (signal.aborted) return fail();
    signal.addEventListener('abort', fail, { signal: ended.signal });
    const how = world.up ? world[kind] : 'refuse';
    if (how === 'hang') return undefined;
    return world.later(world.latency, () => {
      if (signal.aborted) return; // the request never reached the server
      if (how === 'refuse') fail();
      else if (how instanceof Function) resolve(how(url));
      else if (kind === 'sse') resolve(streamOf(world, url, signal, how));
      else answerPoll(world, url, wait, { signal, ended: ended.signal }, resolve, fail);
    });
  }).finally(() => ended.abort());
}

function streamOf(world, url, signal, how) {
  const { server } = world;
  const cursor = url.searchParams.get('after');
  if (server.final && cursor === `${server.epoch}:${server.seq}`) return new Response(null, { status: 204 });
  let out;
  const body = new ReadableStream({ start: (controller) => { out = controller; } });
  const write = (text) => !stream.isOver && !stream.frozen && out.enqueue(new TextEncoder().encode(text));
  const listen = (message) => {
    for (const each of world.mangle(message)) world.later(world.latency, () => write(`data: ${JSON.stringify(each)}\n\n`));
    if (message.final && world.finishes) world.later(2000, () => stream.end());
  };
  const stream = {
    cut() {
      if (this.leave() && !this.frozen) out.error(new TypeError('network error'));
    },
    end() {
      if (this.leave() && !this.frozen) out.close();
    },
    leave() {
      if (this.isOver) return false;
      this.isOver = true;
      world.streams.delete(this);
      server.listeners.delete(listen);
      return true;
    },
  };
  world.streams.add(stream);
  signal.addEventListener('abort', () => stream.cut());
  if (how !== 'mute') {
    write('retry: 2000\n\n');
    server.listeners.add(listen);
    server.greeting(cursor).forEach(listen);
    const ping = () => {
      write(': ping\n\n');
      if (!stream.isOver) world.later(server.heartbeat, ping);
    };
    world.later(server.heartbeat, ping);
    if (how === 'die') world.later(world.life, () => stream.cut());
  }
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
}

function answerPoll(world, url, wait, { signal, ended }, resolve, fail) {
  const { server } = world;
  const cursor = url.searchParams.get('after');
  const answer = () => {
    delayed.leave();
    const [status, body] = server.poll(cursor);
    world.later(world.latency, () => (world.up ? resolve(Response.json(body, { status })) : fail()));
  };
  const delayed = {
    cut() {
      this.leave();
      fail();
    },
    leave() {
      world.waiting.delete(this);
      server.listeners.delete(answer);
    },
  };
  const isNew = server.updates.length && (!cursor || server.final || server.since(cursor) === null || server.since(cursor).length);
  if (!wait || isNew) return answer();
  world.waiting.add(delayed);
  server.listeners.add(answer);
  signal.addEventListener('abort', () => delayed.leave(), { signal: ended });
  world.later(wait, () => world.waiting.has(delayed) && answer());
}

/** Records what a page sees of a client. */
export class Page {
  constructor(client) {
    this.client = client;
    this.seqs = []; // [epoch, seq] of each update, in order of arrival
    this.states = [];
    this.errors = [];
    this.events = [];
    for (const type of ['progress', 'estimate', 'result', 'error', 'connection', 'stall', 'done']) {
      client.addEventListener(`rpa:${type}`, ({ detail }) => {
        this.events.push(type);
        this[type]?.(detail);
      });
    }
  }

  progress(update) {
    this.seqs.push([update.epoch, update.seq]);
  }

  connection(detail) {
    this.states.push(detail.state);
  }

  error(error) {
    this.errors.push(error);
  }

  get codes() {
    return this.errors.map((error) => error.code);
  }

  get numbers() {
    return this.seqs.map(([, seq]) => seq);
  }
}

/** Connect a client in *world* and let 200 ms pass, in which it opens; return the client and its Page. */
export async function connected(world, options) {
  const client = world.client(options);
  const page = new Page(client);
  client.connect();
  await world.clock.run(200);
  return { client, page };
}
