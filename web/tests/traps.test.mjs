// Mistakes that other clients make. The numbers are those of the list of traps in docs/javascript.rst.

import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Page, World, connected } from './world.mjs';

const lent = new Set(); // global names that a test defined
afterEach(() => lent.forEach((name) => delete globalThis[name]));

/** Define a document, the listeners and *parts* as a browser's globals; return functions that fire events. */
function browser(parts = {}) {
  const events = new EventTarget();
  const document = { hidden: false };
  const set = {
    document, addEventListener: events.addEventListener.bind(events), removeEventListener: events.removeEventListener.bind(events), ...parts,
  };
  for (const [name, value] of Object.entries(set)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    lent.add(name);
  }
  const fire = (type, more = {}) => events.dispatchEvent(Object.assign(new Event(type), more));
  return {
    fire,
    show(state) {
      document.hidden = state === 'hidden';
      fire('visibilitychange');
    },
  };
}

const kinds = (world) => world.attempts.map(([, kind]) => kind);

test('trap 1: a transport is not chosen for good: after one slow first connect it climbs back to the WebSocket', async () => {
  const world = new World();
  world.ws = 'hang';
  const { client, page } = await connected(world);
  world.server.publish();
  await world.clock.run(5000);
  assert.equal(client.transport, 'sse');
  world.ws = 'ok';
  await world.clock.run(80000);
  assert.equal(client.transport, 'websocket');
  world.server.publish();
  await world.clock.run(100);
  assert.deepEqual(page.numbers, [1, 2]);
  assert.equal(world.open, 1);
  assert.ok(!page.states.slice(page.states.indexOf('open')).includes('connecting'), 'the page never saw it disconnected');
});

test('trap 1: from plain polling it climbs back too', async () => {
  const world = new World();
  world.ws = world.sse = 'refuse';
  const { client } = await connected(world);
  await world.clock.run(10000);
  assert.equal(client.transport, 'polling');
  world.ws = 'ok';
  await world.clock.run(200000);
  assert.equal(client.transport, 'websocket');
  assert.equal(world.open, 1);
  assert.equal(world.waiting.size, 0);
});

test('trap 1: the better transport takes over only when it has brought what the page has seen', async () => {
  const world = new World();
  world.ws = 'refuse';
  const { client, page } = await connected(world, { replay: true });
  await world.clock.run(10000);
  for (let n = 0; n < 5; n++) world.server.publish();
  await world.clock.run(500);
  assert.deepEqual([client.transport, client.lastSeq], ['sse', 5]);
  let other; // the socket of another server, which has fewer updates
  world.ws = (socket) => { other = socket; };
  while (!other) await world.clock.run(1000);
  const say = (message) => other.onmessage({ data: JSON.stringify(message) });
  const { epoch, updates } = world.server;
  say({ type: 'sync', epoch, seq: 3, recovered: false, snapshot: { ...world.server.snapshot(), seq: 3 }, heartbeat_ms: 15000 });
  say({ type: 'progress_update', etapa: 4, mensagem: 'sem número', timestamp: 't' });
  say(updates[3]);
  assert.deepEqual([client.transport, client.lastSeq, client.stats().probing], ['sse', 5, 1]);
  say(updates[4]);
  assert.deepEqual([client.transport, client.lastSeq, client.stats().probing], ['websocket', 5, 0]);
  assert.equal(world.streams.size, 0);
  assert.deepEqual(page.numbers, [1, 2, 3, 4, 5]);
  client.disconnect();
});

test('trap 1: a connection that is lost while a better one is being tried leaves neither', async () => {
  const world = new World();
  world.ws = 'refuse';
  const { client } = await connected(world);
  await world.clock.run(10000);
  world.ws = 'hang';
  while (!client.stats().probing) await world.clock.run(1000);
  world.stop();
  await world.clock.run(10);
  assert.deepEqual([client.state, client.stats().live, client.stats().probing], ['waiting', 0, 0]);
  assert.equal(world.open, 0);
  client.disconnect();
});

test('trap 1: a gap that shows while a better transport is being tried is filled first', async () => {
  const world = new World();
  world.ws = 'refuse';
  const { client, page } = await connected(world, { replay: true });
  await world.clock.run(10000);
  world.server.publish();
  world.ws = 'hang';
  while (!client.stats().probing) await world.clock.run(1000);
  world.mangle = () => [];
  world.server.publish();
  world.mangle = (message) => [message];
  world.server.publish();
  await world.clock.run(100);
  assert.deepEqual(page.numbers, [1, 2, 3]);
  assert.equal(world.open, 1);
  client.disconnect();
});

test('trap 2: a WebSocket that opens and says nothing counts as a failure', async () => {
  const world = new World();
  world.ws = 'mute';
  world.server.publish();
  const { client, page } = await connected(world);
  await world.clock.run(6000);
  assert.equal(client.transport, 'sse');
  assert.deepEqual(page.numbers, [1]);
});

test('trap 2: a WebSocket that is killed within milliseconds again and again is left', async () => {
  const world = new World();
  world.ws = 'die';
  const { client, page } = await connected(world, { replay: true });
  let published = 0;
  for (let second = 0; second < 60; second++) {
    if (second % 5 === 0) published = world.server.publish().seq;
    await world.clock.run(1000);
  }
  assert.equal(client.transport, 'sse');
  assert.deepEqual(page.numbers, Array.from({ length: published }, (_, i) => i + 1));
  assert.ok(kinds(world).filter((kind) => kind === 'websocket').length <= 6, kinds(world).join());
});

test('trap 3: one failed attempt after a good session does not change the transport', async () => {
  const world = new World();
  const { client } = await connected(world);
  await world.clock.run(10000);
  world.ws = 'refuse';
  world.cut();
  while (world.attempts.length < 2) await world.clock.run(100);
  await world.clock.run(50);
  world.ws = 'ok';
  await world.clock.run(15000);
  assert.equal(client.transport, 'websocket');
  assert.deepEqual(kinds(world), ['websocket', 'websocket', 'websocket']);
});

test('trap 3: a restart of two seconds leaves hardly any of 300 pages on another transport', async () => {
  const world = new World();
  const clients = [];
  for (let n = 0; n < 300; n++) clients.push((await connected(world, { connectTimeout: 8000 })).client);
  await world.clock.run(10000);
  world.stop(1012);
  await world.clock.run(2000);
  world.start();
  await world.clock.run(20000);
  const away = clients.filter((client) => client.transport !== 'websocket').length;
  assert.ok(clients.every((client) => client.state === 'open'));
  assert.ok(away <= 15, `${away} of 300`);
  clients.forEach((client) => client.disconnect());
});

test('trap 4: error answers never make a loop without waits', async () => {
  for (const answer of [500, 502, 503, 429, 408, 200]) {
    const world = new World();
    world.ws = 'refuse';
    world.sse = world.poll = () => new Response('', { status: answer });
    const { client } = await connected(world);
    await world.clock.run(60000);
    assert.ok(world.attempts.length <= 16, `${answer}: ${world.attempts.length} in a minute`);
    client.disconnect();
  }
});

test('trap 4: a burst over the long poll is fetched without pauses, and yet not without any', async () => {
  const world = new World();
  const { client } = await connected(world, { transports: ['polling'], replay: true });
  world.server.publish();
  await world.clock.run(5000);
  const before = world.attempts.length;
  for (let n = 0; n < 50; n++) {
    world.server.publish();
    await world.clock.run(100);
  }
  await world.clock.run(400);
  assert.equal(client.lastSeq, 51);
  const polls = world.attempts.length - before;
  assert.ok(polls >= 12 && polls <= 20, `${polls} in five seconds`);
  client.disconnect();
});

test('trap 4: a poll that is answered at once and empty waits all the same', async () => {
  const world = new World();
  world.server.publish();
  world.poll = (url) => Response.json(world.server.poll(url.searchParams.get('after'))[1]);
  const { client } = await connected(world, { transports: ['polling'] });
  await world.clock.run(60000);
  assert.ok(world.attempts.length <= 32, `${world.attempts.length}`);
  client.disconnect();
});

test('trap 5: a request that hangs is aborted when it is given up, and when the client is closed', async () => {
  for (const [kind, transports] of [['sse', ['sse']], ['poll', ['polling']]]) {
    const world = new World();
    world[kind] = 'hang';
    const signals = [];
    const { client } = await connected(world, {
      transports, fetch: (url, options) => {
        signals.push(options.signal);
        return world.fetch(url, options);
      },
    });
    await world.clock.run(60000);
    assert.ok(signals.length > 2);
    assert.ok(signals.slice(0, -1).every((signal) => signal.aborted));
    client.disconnect();
    assert.ok(signals.at(-1).aborted);
  }
});

test('trap 5: at most two requests are open at once, even while it climbs', async () => {
  const world = new World();
  world.ws = world.sse = 'hang';
  let open = 0;
  let most = 0;
  const { client } = await connected(world, {
    fetch: async (url, options) => {
      most = Math.max(most, ++open);
      try {
        return await world.fetch(url, options);
      } finally {
        open--;
      }
    },
  });
  await world.clock.run(600000);
  assert.equal(client.state, 'open');
  assert.ok(most <= 2, `${most}`);
  client.disconnect();
});

test('trap 6: after a short sleep a healthy socket is asked, not dropped', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  await world.clock.run(20000);
  world.clock.sleep(300000); // the overdue timer runs before anything that is queued
  await world.clock.run(3000);
  assert.equal(client.state, 'open');
  assert.deepEqual(page.states, ['connecting', 'open']);
  assert.equal(world.attempts.length, 1);
});

test('trap 6: a page that wakes up asks at once, keeps what answers and drops what does not', async () => {
  const page_ = browser();
  const world = new World();
  const { client, page } = await connected(world);
  await world.clock.run(3000);
  page_.show('visible');
  await world.clock.run(5000);
  assert.deepEqual(page.states, ['connecting', 'open']);
  assert.equal(world.pings, 1);
  for (const socket of world.sockets) socket.frozen = true;
  page_.show('visible');
  await world.clock.run(2600);
  assert.deepEqual(page.codes, ['stale']);
  assert.equal(client.state, 'open');
  client.disconnect();
});

test('trap 6: a stream that said something ten seconds ago is not dropped because the page wakes up', async () => {
  const page_ = browser();
  const world = new World();
  const { client, page } = await connected(world, { transports: ['sse'] });
  await world.clock.run(10000);
  page_.show('visible');
  await world.clock.run(5000);
  assert.deepEqual(page.states, ['connecting', 'open']);
  client.disconnect();
});

test('trap 6: timers of a hidden tab, once a minute, do not make a healthy socket stale', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  for (let minute = 0; minute < 10; minute++) {
    world.clock.sleep(60000);
    await world.clock.run(1);
    await world.clock.run(200); // the answer to a ping comes: network events are not throttled
  }
  assert.equal(client.state, 'open');
  assert.deepEqual(page.states, ['connecting', 'open']);
});

test('trap 7: a socket that is open and dead is found within 35 s', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  await world.clock.run(10000);
  const [socket] = world.sockets;
  socket.frozen = true;
  world.server.publish();
  const since = world.clock.time;
  while (page.codes.length === 0) await world.clock.run(100);
  assert.deepEqual(page.codes, ['stale']);
  assert.ok(world.clock.time - since <= 35000, `${world.clock.time - since}`);
  await world.clock.run(1000);
  assert.deepEqual(page.numbers, [1]);
  assert.equal(client.state, 'open');
});

test('trap 7: a stream without comments is found within 35 s too', async () => {
  const world = new World();
  const { page } = await connected(world, { transports: ['sse'] });
  await world.clock.run(10000);
  for (const stream of world.streams) stream.frozen = true;
  const since = world.clock.time;
  while (page.codes.length === 0) await world.clock.run(100);
  assert.deepEqual(page.codes, ['stale']);
  assert.ok(world.clock.time - since <= 35000);
});

test('trap 7: a zombie after sleep is replaced within three seconds of waking, whatever its readyState says', async () => {
  const page_ = browser();
  for (const transports of [['websocket'], ['sse']]) {
    const world = new World();
    const { client, page } = await connected(world, { transports });
    await world.clock.run(10000);
    for (const end of [...world.sockets, ...world.streams]) end.frozen = true;
    world.server.publish();
    world.clock.sleep(600000);
    page_.fire('pageshow', { persisted: true });
    await world.clock.run(3000);
    assert.equal(client.state, 'open');
    assert.deepEqual(page.numbers, [1]);
    client.disconnect();
  }
});

test('trap 8: a page that comes out of the back/forward cache tries at once', async () => {
  const page_ = browser();
  const world = new World();
  const { client } = await connected(world);
  world.stop();
  await world.clock.run(200000);
  world.start();
  assert.equal(client.state, 'waiting');
  page_.fire('pageshow', { persisted: true });
  await world.clock.run(100);
  assert.equal(client.state, 'open');
  client.disconnect();
});

test('trap 9: what counts is the clock: a timer that comes two minutes late still finds the dead socket', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  await world.clock.run(10000);
  for (const socket of world.sockets) socket.frozen = true;
  world.server.publish();
  world.clock.sleep(120000);
  await world.clock.run(3000);
  assert.equal(client.state, 'open');
  assert.deepEqual(page.codes, ['stale']);
  assert.deepEqual(page.numbers, [1]);
});

test('trap 9: a clock that is set back does no harm', async () => {
  const world = new World();
  const { client } = await connected(world);
  await world.clock.run(10000);
  world.clock.time -= 3600000;
  for (const timer of world.clock.timers.values()) timer.at -= 3600000; // timers ignore such a change
  await world.clock.run(60000);
  world.server.publish();
  await world.clock.run(100);
  assert.equal(client.state, 'open');
  assert.equal(client.lastSeq, 1);
  assert.equal(world.attempts.length, 1);
});

test('trap 9: nor does it to polls', async () => {
  for (const [transports, within] of [[['polling'], 25000], [['poll'], 3000]]) {
    const world = new World();
    world.server.publish();
    const { client } = await connected(world, { transports });
    for (let n = 2; n < 12; n++) {
      await world.clock.run(2500 + 100 * n);
      world.clock.time -= 3600000;
      for (const timer of world.clock.timers.values()) timer.at -= 3600000;
      world.server.publish();
      await world.clock.run(within);
      assert.equal(client.lastSeq, n);
    }
    client.disconnect();
  }
});

test('trap 10: close() during a wait never connects again', async () => {
  const world = new World();
  world.stop();
  const { client } = await connected(world);
  assert.equal(client.state, 'waiting');
  client.disconnect();
  const { length } = world.attempts;
  world.start();
  await world.clock.run(600000);
  assert.equal(world.attempts.length, length);
  assert.equal(client.stats().timers, 0);
});

test('trap 10: close() while a token is being fetched never connects', async () => {
  const world = new World();
  let give;
  const { client } = await connected(world, { token: () => new Promise((go) => { give = go; }) });
  client.disconnect();
  give('late');
  await world.clock.run(1000);
  assert.equal(world.attempts.length, 0);
  assert.equal(world.open, 0);
});

// -- policies, addresses, network state and visibility

test('a WebSocket that the page\'s policy blocks, which never says close, is left at once', async () => {
  const world = new World();
  world.ws = 'csp';
  const { client, page } = await connected(world);
  await world.clock.run(600);
  assert.equal(client.transport, 'sse');
  assert.deepEqual(page.codes, ['csp_blocked']);
  await world.clock.run(300000);
  assert.equal(kinds(world).filter((kind) => kind === 'websocket').length, 1, 'and not tried again');
});

test('a constructor that throws is no crash, and is reported for what it is', async () => {
  for (const [error, code] of [[new DOMException('insecure', 'SecurityError'), 'csp_blocked'], [new SyntaxError('bad protocol'), 'config']]) {
    const world = new World();
    world.ws = error;
    const { client, page } = await connected(world);
    await world.clock.run(600);
    assert.equal(client.transport, 'sse');
    assert.deepEqual(page.codes, [code]);
  }
});

test('a blocked WebSocket does not make a policy of what fails after it', async () => {
  const page_ = browser();
  const world = new World();
  world.ws = 'csp';
  world.sse = 'refuse';
  const client = world.client();
  const page = new Page(client);
  client.connect();
  page_.fire('securitypolicyviolation', { disposition: 'enforce', blockedURI: 'wss://rpa.test/rpa/s' });
  await world.clock.run(2000);
  assert.deepEqual(page.codes, ['csp_blocked', 'network']);
  client.disconnect();
});

test('a policy that blocks everything is reported as csp_blocked and ends it', async () => {
  const page_ = browser();
  const world = new World();
  world.ws = 'csp';
  world.sse = world.poll = 'refuse';
  const { client, page } = await connected(world, {
    fetch: (url, options) => {
      page_.fire('securitypolicyviolation', { disposition: 'enforce', blockedURI: String(url) });
      return world.fetch(url, options);
    },
  });
  await world.clock.run(10000);
  assert.deepEqual([page.codes.at(-1), page.errors.at(-1).fatal, client.state], ['csp_blocked', true, 'closed']);
});

for (const [name, disposition, blockedURI] of [
  ['of another site', 'enforce', 'https://elsewhere.test/pixel'],
  ['of a site whose name ends as ours does', 'enforce', 'https://not-rpa.test/x'],
  ['of a site that names ours', 'enforce', 'https://elsewhere.test/?https://rpa.test/'],
  ['that is inline', 'enforce', 'inline'],
  ['that is only reported', 'report', 'https://rpa.test/events/s?'],
]) {
  test(`a violation ${name} changes nothing`, async () => {
    const page_ = browser();
    const world = new World();
    const { client, page } = await connected(world, {
      transports: ['sse'], fetch: (url, options) => {
        page_.fire('securitypolicyviolation', { disposition, blockedURI });
        return world.fetch(url, options);
      },
    });
    assert.equal(client.state, 'open');
    world.sse = 'refuse';
    world.cut();
    await world.clock.run(10000);
    assert.deepEqual(page.codes, ['network']);
    client.disconnect();
  });
}

test('from a page on https a server on http is refused before anything is tried, but for this machine', async () => {
  const { configurationError } = await import('../src/address.js?https'); // loaded before there is a location
  assert.equal(configurationError('s', 'https://a/', ['x']), undefined);
  browser({ location: { protocol: 'https:', origin: 'https://page.test' } });
  const fresh = await import('../src/address.js?location');
  assert.equal(fresh.configurationError('s', 'http://a.test/', ['x']), 'mixed_content');
  for (const base of ['http://localhost:8080/', 'http://127.0.0.1/', 'https://a.test/']) assert.equal(fresh.configurationError('s', base, ['x']), undefined);
});

test('the server is where the script came from', async () => {
  const addresses = [
    ['https://h.test/static/rpa-client.js', 'https://h.test/'], ['https://h.test/webflow_progress_tracker.js?v=1', 'https://h.test/'],
    ['https://h.test/rpa-live/static/1.0.0/rpa-client.js', 'https://h.test/rpa-live/'], ['https://h.test:8443/x.js#a', 'https://h.test:8443/'],
  ];
  for (const [index, [src, expected]] of addresses.entries()) {
    browser({ document: { currentScript: { src } } });
    assert.equal((await import(`../src/address.js?src${index}`)).serverAddress(), expected);
    assert.equal((await import(`../src/address.js?src${index}`)).serverAddress('https://given.test/y/'), 'https://given.test/y/');
  }
});

test('offline is reported as such, and the page\'s coming back online ends the wait', async () => {
  const navigator = { onLine: false };
  const page_ = browser({ navigator });
  const world = new World();
  const { client, page } = await connected(world);
  for (const socket of world.sockets) socket.frozen = true;
  world.up = false;
  page_.fire('offline');
  await world.clock.run(3000);
  assert.equal(client.state, 'offline');
  await world.clock.run(60000);
  world.start();
  navigator.onLine = true;
  page_.fire('online');
  await world.clock.run(100);
  assert.equal(client.state, 'open');
  assert.equal(client.transport, 'websocket', 'being offline says nothing about a transport');
  assert.equal(page.states.includes('offline'), true);
  client.disconnect();
});

test('a hidden page polls and retries five times slower, and at once when it is looked at', async () => {
  const page_ = browser();
  const world = new World();
  world.ws = world.sse = 'refuse';
  const { client } = await connected(world, { transports: ['polling'] });
  page_.show('hidden');
  world.stop();
  await world.clock.run(20000);
  const before = world.attempts.length;
  await world.clock.run(600000);
  assert.ok(world.attempts.length - before <= 16, `${world.attempts.length - before}`);
  world.start();
  page_.show('visible');
  await world.clock.run(100);
  assert.equal(client.state, 'open');
  client.disconnect();
});

test('a page that is looked at again climbs at once', async () => {
  const page_ = browser();
  const world = new World();
  world.ws = 'refuse';
  const { client } = await connected(world);
  await world.clock.run(10000);
  world.ws = 'ok';
  page_.show('visible');
  await world.clock.run(1500);
  assert.equal(client.transport, 'websocket');
  client.disconnect();
});

test('a page that is looked at again does not break a server\'s wish to be left alone', async () => {
  const page_ = browser();
  const world = new World();
  world.sse = () => Response.json({}, { status: 503, headers: { 'Retry-After': '60' } });
  await connected(world, { transports: ['sse'] });
  page_.show('visible');
  await world.clock.run(59000);
  assert.equal(world.attempts.length, 1);
});

test('after close() the page\'s events reach nothing of the client', async () => {
  const listening = new Map();
  browser({
    addEventListener: (type, work) => listening.set(type, work),
    removeEventListener: (type, work) => listening.get(type) === work && listening.delete(type),
  });
  const { client } = await connected(new World());
  assert.ok(listening.size >= 5);
  client.disconnect();
  assert.equal(listening.size, 0);
});

// -- many tabs of one browser

/** The navigator.locks that all tabs of one browser share. */
class Locks {
  taken = new Set();

  async request(name, { ifAvailable }, work) {
    assert.ok(ifAvailable);
    if (this.taken.has(name)) return work(null);
    this.taken.add(name);
    try {
      return await work({ name });
    } finally {
      this.taken.delete(name);
    }
  }
}

for (const [name, ways, within] of [['WebSockets', { ws: 'refuse' }, 5], ['WebSockets and streams', { ws: 'refuse', sse: 'refuse' }, 10]]) {
  test(`without ${name} seven tabs keep four connections open between them, and all are served`, async () => {
    const locks = new Locks();
    browser({ navigator: { locks } });
    const world = new World();
    Object.assign(world, ways);
    world.server.publish();
    const tabs = [];
    for (let n = 0; n < 7; n++) {
      tabs.push(world.client());
      tabs[n].connect();
      await world.clock.run(within * 1000);
      assert.equal(tabs[n].lastSeq, 1, `tab ${n + 1} within ${within} s`);
    }
    const kept = () => world.streams.size + world.waiting.size;
    assert.equal(kept(), 4);
    assert.deepEqual(tabs.map(({ transport }) => transport).sort(), [...Array(3).fill('poll'), ...Array(4).fill(ways.sse ? 'polling' : 'sse')]);
    world.server.publish();
    await world.clock.run(2100);
    assert.ok(tabs.every(({ lastSeq }) => lastSeq === 2));
    tabs.find(({ transport }) => transport !== 'poll').disconnect();
    assert.equal(kept(), 3);
    await world.clock.run(300000);
    if (!ways.sse) assert.equal(kept(), 4, 'the seat of a tab that closed is taken');
    world.server.finish();
    await world.clock.run(20000);
    assert.ok(tabs.every(({ lastSeq, state }, n) => state === 'closed' && (lastSeq === 3 || !n)));
    assert.equal(locks.taken.size, 0);
  });
}

test('a page that disconnects in its own function, while polls are answered, gives its seat back', async () => {
  const locks = new Locks();
  browser({ navigator: { locks } });
  const world = new World();
  const client = world.client({ transports: ['polling'], onProgressUpdate: () => client.disconnect() });
  client.connect();
  world.server.publish();
  await world.clock.run(5000);
  assert.equal(client.state, 'closed');
  assert.equal(locks.taken.size, 0);
});

test('a page that allows streams alone has one, whatever its tabs', async () => {
  const locks = new Locks();
  browser({ navigator: { locks } });
  const world = new World();
  const tabs = Array.from({ length: 7 }, () => world.client({ transports: ['sse'] }).connect());
  await world.clock.run(5000);
  assert.ok(tabs.every(({ transport, state }) => transport === 'sse' && state === 'open'));
  tabs.forEach((client) => client.disconnect());
});

// -- bad networks: how soon a page has data, and over which transport

test('a proxy that swallows answers that are delayed costs 20 s once, and 2 s from then on', async () => {
  const world = new World();
  world.ws = world.sse = 'refuse';
  world.poll = (url) => (url.searchParams.get('wait') ? new Promise(() => {}) : Response.json(world.server.poll(url.searchParams.get('after'))[1]));
  world.server.publish();
  const { client } = await connected(world);
  await world.clock.run(5000);
  const delays = [];
  for (let n = 0; n < 40; n++) {
    const { seq } = world.server.publish();
    const since = world.clock.time;
    while (client.lastSeq < seq) await world.clock.run(100);
    delays.push(world.clock.time - since);
    await world.clock.run(15000);
  }
  const [worst, next] = delays.sort((a, b) => b - a);
  console.log(`# delays of updates: ${worst} ms once, then at most ${next} ms`);
  assert.ok(worst <= 21000, `${worst}`);
  assert.ok(next <= 3000, `${next}`);
  assert.equal(client.transport, 'poll');
  client.disconnect();
});

for (const [name, ws, sse] of [['refused', 'refuse', 'ok'], ['dropped', 'hang', 'ok'], ['refused, SSE too', 'refuse', 'refuse'], ['dropped, SSE too', 'hang', 'hang'], ['dropped, SSE buffered', 'hang', 'mute']]) {
  test(`a page whose WebSocket is ${name} has its first data within 10 s`, async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const world = new World(seed);
      Object.assign(world, { ws, sse });
      world.server.publish();
      const client = world.client();
      const page = new Page(client);
      const since = world.clock.time;
      client.connect();
      while (!page.numbers.length) await world.clock.run(50);
      assert.ok(world.clock.time - since <= 10000, `${world.clock.time - since} ms`);
      client.disconnect();
    }
  });
}

test('a page on a bad network keeps its good transport for the next failure', async () => {
  const world = new World();
  world.ws = 'refuse';
  const { client } = await connected(world);
  await world.clock.run(20000);
  assert.equal(client.transport, 'sse');
  world.attempts.length = 0;
  world.stop();
  await world.clock.run(120000);
  world.start();
  await world.clock.run(30000);
  assert.equal(client.state, 'open');
  assert.ok(kinds(world).filter((kind) => kind === 'sse').length > kinds(world).length / 2, kinds(world).join());
});
