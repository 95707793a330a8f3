// The client in a simulated world (world.mjs): what it reports to a page, and how it recovers from failures.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPAError } from '../src/errors.js';
import { Page, World, connected, settle } from './world.mjs';

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Assert that *client* has stopped, and that no connection, request or timer of it is left. */
function assertGone(world, client) {
  assert.equal(client.state, 'closed');
  assert.deepEqual({ ...client.stats(), timers: undefined }, { ...client.stats(), live: 0, probing: 0, timers: undefined });
  assert.equal(client.stats().timers, 0);
  assert.equal(world.open, 0);
  assert.equal(world.waiting.size, 0);
}

// -- events, callbacks, done() and the iterator

test('a page that comes late gets the whole state first, then each update', async () => {
  const world = new World();
  range(1, 3).forEach(() => world.server.publish());
  const { client, page } = await connected(world);
  assert.deepEqual(page.numbers, [3]);
  world.server.publish();
  await world.clock.run(100);
  assert.deepEqual(page.numbers, [3, 4]);
  assert.equal(client.lastSeq, 4);
  assert.equal(client.snapshot().mensagem, 'passo 4');
  assert.equal(client.state, 'open');
  assert.equal(client.transport, 'websocket');
  client.disconnect();
  assertGone(world, client);
});

test('with replay a page gets every update of the run', async () => {
  const world = new World();
  range(1, 3).forEach(() => world.server.publish());
  const { page } = await connected(world, { replay: true });
  assert.deepEqual(page.numbers, [1, 2, 3]);
});

for (const transports of [['websocket'], ['sse'], ['polling']]) {
  test(`a whole run over ${transports}: events in order, each update once, done at the end, nothing left`, async () => {
    const world = new World();
    const { client, page } = await connected(world, { transports });
    const done = client.done();
    assert.equal(client.snapshot(), null);
    for (const n of range(1, 5)) {
      world.server.publish(n === 3 ? { evento: 'estimativas', estimativas: { coberturas_detalhadas: [] } } : {});
      await world.clock.run(3000);
    }
    world.server.finish();
    await world.clock.run(2200);
    assert.deepEqual(page.numbers, range(1, 6));
    assert.deepEqual(page.events.filter((type) => !['progress', 'connection'].includes(type)), ['estimate', 'result', 'done']);
    const state = await done;
    assert.equal(state.estado, 'sucesso');
    assert.deepEqual(state.resultado, { plano_recomendado: { valor: 'R$ 1,00' }, plano_alternativo: undefined });
    await world.clock.run(4000);
    assertGone(world, client);
    assert.equal(page.errors.length, 0);
  });
}

test('what a robot adds after the end is still shown, and the end is reported once', async () => {
  const world = new World();
  const { page } = await connected(world);
  world.server.publish();
  world.server.finish();
  await world.clock.run(500);
  world.server.publish({ evento: 'erro', final: true, estado: 'sucesso', erro: 'tarde' });
  await world.clock.run(8000);
  assert.deepEqual(page.numbers, [1, 2, 3]);
  assert.equal(page.events.filter((type) => type === 'done').length, 1);
});

test('the callbacks of the plan are called, on the client where they can be replaced later', async () => {
  const world = new World();
  const calls = [];
  const client = world.client({
    onProgressUpdate: (data) => calls.push(['progress', data.etapa, data.mensagem]),
    onConnectionChange: (connected) => calls.push(['connection', connected]),
    onError: (message, error) => calls.push(['error', message, error.code]),
    onStateChange: () => {},
  });
  client.connect();
  await world.clock.run(100);
  world.server.publish();
  await world.clock.run(100);
  client.onProgressUpdate = (data) => calls.push(['replaced', data.seq]);
  world.server.publish();
  await world.clock.run(100);
  world.stop();
  await world.clock.run(100);
  assert.deepEqual(calls, [
    ['connection', true], ['progress', 1, 'passo 1'], ['replaced', 2], ['connection', false],
    ['error', 'Sem conexão. Reconectando…', 'network'],
  ]);
});

test('a page whose own function throws is still served', async (t) => {
  const world = new World();
  const said = t.mock.method(console, 'error', () => {});
  const { client } = await connected(world, { onProgressUpdate: () => { throw new Error('of the page'); } });
  world.server.publish();
  world.server.publish();
  await world.clock.run(100);
  assert.equal(client.lastSeq, 2);
  assert.equal(said.mock.callCount(), 2);
});

test('estimates and result are reported when they are news, and not again after a reset', async () => {
  const world = new World();
  const estimativas = { coberturas_detalhadas: [{ nome: 'RCF' }] };
  const estimates = [];
  await connected(world, { onEstimate: (found) => estimates.push(found) });
  world.server.publish({ evento: 'estimativas', estimativas });
  world.server.publish({ estimativas });
  await world.clock.run(100);
  world.server.listeners.forEach((listener) => listener({
    type: 'reset', epoch: world.server.epoch, seq: 9, snapshot: { ...world.server.snapshot(), seq: 9, estimativas },
  }));
  await world.clock.run(100);
  assert.deepEqual(estimates, [estimativas]);
});

test('a run that failed rejects done() with the robot\'s words and is reported as an error, then as done', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  const failing = assert.rejects(client.done(), (error) => error instanceof RPAError && error.code === 'job_failed'
    && error.message === 'Placa recusada' && error.fatal);
  world.server.publish({ evento: 'erro', erro: 'Placa recusada', contexto: 'tela 2' });
  world.server.finish('erro');
  await world.clock.run(100);
  await failing;
  assert.deepEqual(page.events.slice(-2), ['error', 'done']);
});

test('an expired run is job_timeout, a manual quotation is no error', async () => {
  for (const [estado, code] of [['expirado', 'job_timeout'], ['cancelado', 'job_failed'], ['cotacao_manual', undefined]]) {
    const world = new World();
    const { page } = await connected(world);
    world.server.finish(estado);
    await world.clock.run(100);
    assert.deepEqual(page.codes, code ? [code] : []);
  }
});

test('done() after the end answers at once; after disconnect() it rejects', async () => {
  const world = new World();
  const { client } = await connected(world);
  world.server.finish();
  await world.clock.run(100);
  assert.equal((await client.done()).final, true);
  const other = (await connected(new World())).client;
  const waiting = other.done();
  other.disconnect();
  await assert.rejects(waiting, { code: 'closed' });
  await assert.rejects(other.done(), { code: 'closed' });
});

test('the iterator yields every event from its first step on and ends with the client', async () => {
  const world = new World();
  const client = world.client();
  const seen = [];
  const reading = (async () => {
    for await (const event of client) seen.push(event.type === 'rpa:progress' ? event.detail.seq : event.type);
  })();
  client.connect();
  await world.clock.run(100);
  world.server.publish();
  world.server.finish();
  await world.clock.run(9000);
  await reading;
  assert.deepEqual(seen, ['rpa:connection', 'rpa:connection', 1, 2, 'rpa:result', 'rpa:done', 'rpa:connection']);
});

test('leaving the iterator leaves nothing behind', async () => {
  const world = new World();
  const { client } = await connected(world);
  world.server.publish();
  const reading = (async () => {
    for await (const event of client) if (event) break;
  })();
  await world.clock.run(100);
  await reading;
  assert.equal(client.state, 'open');
});

test('a run that does not move is reported as a stall, once per silence', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  world.server.publish();
  await world.clock.run(59000);
  assert.ok(!page.events.includes('stall'));
  await world.clock.run(120000);
  assert.equal(page.events.filter((type) => type === 'stall').length, 1);
  assert.equal(client.state, 'open');
});

test('a robot that a bare publication tells of is shown, without a cursor', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  const bare = { type: 'progress_update', etapa: 3, mensagem: 'Tela 3', timestamp: 't', dados_extra: {} };
  world.server.listeners.forEach((listener) => listener(bare));
  await world.clock.run(100);
  assert.equal(client.snapshot().etapa_atual, 3);
  assert.equal(client.snapshot().percentual, 20);
  assert.equal(client.snapshot().estado, 'executando');
  assert.deepEqual(page.numbers, [undefined]);
});

test('garbage is reported and skipped; kinds of message that are not known are skipped', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  const [socket] = world.sockets;
  for (const data of ['{', 'null', '7', '"x"', '[]', '{"type":"novelty"}']) socket.onmessage({ data });
  world.server.publish();
  await world.clock.run(100);
  assert.deepEqual(page.codes, ['protocol']);
  assert.equal(client.lastSeq, 1);
});

// -- a new run, resets, gaps

test('a new run of the session begins anew', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  world.server.publish({ percentual: 50, mensagem: 'velho' });
  await world.clock.run(100);
  world.server.begin('aaaa');
  world.server.publish({ percentual: 1 });
  await world.clock.run(100);
  assert.equal(client.snapshot().percentual, 1);
  assert.deepEqual(page.seqs.at(-1), ['aaaa', 1]);
});

test('a hole in the numbers is filled by a second connection while the first stays', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  world.server.publish();
  await world.clock.run(100);
  world.mangle = (message) => (message.seq === 3 ? [] : [message]);
  range(2, 5).forEach(() => world.server.publish());
  world.mangle = (message) => [message];
  await world.clock.run(200);
  assert.deepEqual(page.numbers, range(1, 5));
  assert.deepEqual(page.states, ['connecting', 'open', 'open']);
  assert.equal(client.stats().gaps, 1);
  assert.equal(world.open, 1);
});

test('a run whose numbers have holes is followed without asking again each time', async () => {
  const world = new World();
  world.server.sparse = true;
  const { client, page } = await connected(world);
  for (let n = 0; n < 6; n++) {
    world.server.publish();
    await world.clock.run(1000);
  }
  assert.deepEqual(page.numbers, [1000, 2000, 3000, 4000, 5000, 6000]);
  assert.ok(client.stats().gaps <= 2, JSON.stringify(client.stats()));
  assert.equal(page.errors.length, 0);
});

test('a hole that nobody can fill ends in the whole state', async () => {
  const world = new World();
  world.server.history = 2;
  const { client, page } = await connected(world);
  world.server.publish();
  await world.clock.run(100);
  world.mangle = () => [];
  range(2, 9).forEach(() => world.server.publish());
  world.mangle = (message) => [message];
  world.server.publish();
  await world.clock.run(300);
  assert.deepEqual(page.numbers, [1, 10]);
  assert.equal(client.stats().resets, 1);
});

test('a server that keeps dropping the same update can\'t make the client ask for ever', async () => {
  const world = new World();
  world.mangle = (message) => (message.type === 'progress_update' && message.seq === 3 ? [] : [message]);
  const { client, page } = await connected(world);
  for (let n = 0; n < 6; n++) {
    world.server.publish();
    await world.clock.run(1000);
  }
  assert.equal(client.lastSeq, 6);
  assert.ok(client.stats().connects < 6, JSON.stringify(client.stats()));
  assert.deepEqual(page.numbers, [1, 2, 4, 5, 6]);
});

// -- ends of connections, and reconnecting

for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 4008, 4399, 4500]) {
  test(`close code ${code} means come back, from where the page was`, async () => {
    const world = new World();
    const { client, page } = await connected(world);
    world.server.publish();
    await world.clock.run(6000);
    world.cut(code);
    world.server.publish();
    await world.clock.run(6500);
    assert.equal(client.state, 'open');
    assert.deepEqual(page.numbers, [1, 2]);
  });
}

for (const [code, name] of [[4400, 'config'], [4401, 'auth'], [4403, 'forbidden'], [4404, 'not_found'], [4429, 'rate_limited'], [4455, 'server_error']]) {
  test(`close code ${code} is final: ${name}`, async () => {
    const world = new World();
    world.ws = code;
    const { client, page } = await connected(world);
    await world.clock.run(120000);
    assert.deepEqual(page.codes, [name]);
    assert.equal(page.errors[0].fatal, true);
    assert.equal(page.errors[0].closeCode, code);
    assert.equal(world.attempts.length, 1);
    assertGone(world, client);
    await assert.rejects(client.done(), { code: name });
  });
}

test('4410, 204 and the poll of a finished run end it without an error, also when the page asks once more', async () => {
  for (const transports of [['websocket'], ['sse'], ['polling']]) {
    const world = new World();
    const { client, page } = await connected(world, { transports });
    world.server.finish();
    await world.clock.run(7000);
    assert.equal(client.state, 'closed');
    client.connect();
    await world.clock.run(7000);
    assertGone(world, client);
    assert.equal(page.errors.length, 0);
    assert.deepEqual(page.numbers, [1]);
  }
});

const say = (status, body, headers = {}) => () => Response.json(body, { status, headers });

for (const [status, code] of [[400, 'config'], [401, 'auth'], [403, 'forbidden'], [410, 'gone']]) {
  test(`HTTP ${status} with our body is final: ${code}`, async () => {
    for (const kind of ['sse', 'poll']) {
      const world = new World();
      world[kind] = say(status, { type: 'error', code: 'x', message: 'Não.', temporary: false });
      const { client, page } = await connected(world, { transports: [kind === 'poll' ? 'polling' : kind] });
      assert.deepEqual(page.codes, [code]);
      assert.deepEqual([page.errors[0].status, page.errors[0].message, page.errors[0].fatal], [status, 'Não.', true]);
      assertGone(world, client);
    }
  });

  test(`HTTP ${status} from somebody else only closes that transport`, async () => {
    const world = new World();
    world.ws = 'refuse';
    world.sse = () => new Response('<h1>No</h1>', { status });
    const { client } = await connected(world);
    await world.clock.run(5000);
    assert.equal(client.state, 'open');
    assert.equal(client.transport, 'polling');
  });
}

for (const status of [400, 401, 403, 404, 410]) {
  test(`HTTP ${status} from somebody else, on every transport, is outlived: before the run was seen and after`, async () => {
    for (const seen of [false, true]) {
      const world = new World(status);
      world.ws = 'refuse';
      const { client, page } = await connected(world);
      if (seen) world.server.publish();
      if (seen) await world.clock.run(10000);
      assert.equal(client.lastSeq, +seen);
      world.cut();
      world.sse = world.poll = () => new Response(seen ? '' : '<h1>No</h1>', { status });
      const before = world.attempts.length;
      await world.clock.run(600000);
      assert.equal(client.state, 'waiting');
      assert.ok(page.errors.every(({ fatal }) => !fatal));
      assert.ok(world.attempts.length - before <= 60, `${world.attempts.length - before} in ten minutes`);
      world.sse = world.poll = 'ok';
      world.server.publish();
      await world.clock.run(150000);
      assert.deepEqual([client.state, client.lastSeq], ['open', 1 + seen]);
      client.disconnect();
      assertGone(world, client);
    }
  });
}

test('a session that nobody has written yet is no error over the poll', async () => {
  const world = new World();
  const { client, page } = await connected(world, { transports: ['polling'] });
  assert.equal(client.state, 'open');
  await world.clock.run(60000);
  world.server.publish();
  await world.clock.run(3000);
  assert.equal(page.errors.length, 0);
  assert.deepEqual(page.numbers, [1]);
});

test('Retry-After is waited for, in seconds or as a date', async () => {
  const real = Date.now();
  for (const value of ['20', new Date(real + 21000).toUTCString()]) {
    const world = new World();
    let asked = 0;
    world.sse = () => (++asked > 1 ? new Response('', { status: 503 }) : say(503, { type: 'error', code: 'full', message: '', temporary: true }, { 'Retry-After': value })());
    const { client, page } = await connected(world, { transports: ['sse'] });
    assert.deepEqual(page.codes, ['full']);
    assert.equal(client.state, 'waiting');
    const wait = page.errors[0].retryAt - world.clock.time;
    assert.ok(wait > 18000 && wait < 22000, `${wait}`);
    await world.clock.run(18000);
    assert.equal(asked, 1);
    await world.clock.run(4000);
    assert.ok(asked > 1);
    client.disconnect();
  }
});

test('429 comes back later', async () => {
  const world = new World();
  world.sse = say(429, {}, { 'Retry-After': '5' });
  const { client, page } = await connected(world, { transports: ['sse'] });
  assert.deepEqual(page.codes, ['rate_limited']);
  assert.equal(client.state, 'waiting');
  world.sse = 'ok';
  await world.clock.run(7000);
  assert.equal(client.state, 'open');
});

test('a full server is reported as full and replaced by a poll that holds no connection', async () => {
  const world = new World();
  world.ws = 1013;
  const full = say(503, { type: 'error', code: 'full', message: '', temporary: true }, { 'Retry-After': '1' });
  world.sse = full;
  world.poll = (url) => (url.searchParams.get('wait') ? full() : Response.json(world.server.poll(url.searchParams.get('after'))[1]));
  world.server.publish();
  const { client, page } = await connected(world);
  await world.clock.run(40000);
  assert.equal(page.codes[0], 'full');
  assert.equal(client.state, 'open');
  assert.equal(client.transport, 'poll');
});

test('an answer of the wrong kind, as of a login page, is not taken for a stream', async () => {
  const world = new World();
  world.sse = world.poll = () => new Response('<html>', { headers: { 'content-type': 'text/html' } });
  const { client, page } = await connected(world, { transports: ['sse', 'polling'] });
  await world.clock.run(20000);
  assert.equal(page.codes[0], 'protocol');
  assert.notEqual(client.state, 'open');
  assert.notEqual(client.state, 'closed');
});

test('an outage is reported once, and again only when its cause changes', async () => {
  const world = new World();
  const { page } = await connected(world, { transports: ['sse'] });
  world.stop();
  await world.clock.run(120000);
  assert.deepEqual(page.codes, ['network']);
  world.start();
  world.sse = () => new Response('', { status: 502 });
  await world.clock.run(60000);
  assert.deepEqual(page.codes, ['network', 'server_error']);
});

test('maxAttempts ends it, with the plan\'s words', async () => {
  const world = new World();
  world.stop();
  const said = [];
  const client = world.client({ maxReconnectAttempts: 3, transports: ['websocket'], onError: (message, error) => said.push([message, error.fatal]) });
  client.connect();
  await world.clock.run(300000);
  assert.equal(world.attempts.length, 4);
  assert.deepEqual(said, [['Sem conexão. Reconectando…', false], ['Máximo de tentativas de reconexão atingido', true]]);
  assertGone(world, client);
});

test('options that are 0 or undefined are taken as such and as not given', async () => {
  const client = new World().client({ minDelay: 0, maxDelay: undefined, maxReconnectAttempts: 0 });
  assert.deepEqual([client.minDelay, client.maxDelay, client.maxAttempts], [0, 30000, 0]);
});

test('reconnect() and connect() again make one connection, not two', async () => {
  const world = new World();
  const { client } = await connected(world);
  assert.equal(client.connect(), client);
  client.reconnect();
  client.reconnect();
  await world.clock.run(200);
  assert.equal(world.open, 1);
  assert.equal(client.state, 'open');
  client.disconnect();
  client.disconnect();
  client.reconnect();
  await world.clock.run(200);
  assert.equal(client.state, 'open');
  client.disconnect();
  assertGone(world, client);
});

test('a page may disconnect in any of its functions: nothing is left', async () => {
  for (const type of ['progress', 'estimate', 'result', 'done', 'connection', 'error']) {
    const world = new World();
    const client = world.client();
    client.addEventListener(`rpa:${type}`, () => client.disconnect());
    client.connect();
    await world.clock.run(200);
    world.server.publish({ estimativas: {} });
    await world.clock.run(200);
    if (type === 'error') world.stop();
    else world.server.finish();
    await world.clock.run(200);
    assertGone(world, client);
  }
});

test('reconnect() during a wait tries at once, and once', async () => {
  const world = new World();
  world.stop();
  const { client } = await connected(world, { transports: ['websocket'] });
  await world.clock.run(100000);
  assert.ok(client.stats().tries > 4);
  const before = world.attempts.length;
  world.start();
  client.reconnect();
  assert.equal(client.stats().tries, 0);
  await world.clock.run(60000);
  assert.equal(world.attempts.length, before + 1);
  assert.equal(client.state, 'open');
  client.disconnect();
});

test('after a final error connect() begins anew', async () => {
  const world = new World();
  world.ws = 4401;
  const { client } = await connected(world);
  assert.equal(client.state, 'closed');
  world.ws = 'ok';
  client.connect();
  world.server.finish();
  await world.clock.run(200);
  assert.equal((await client.done()).estado, 'sucesso');
});

test('failures are counted anew once a connection has lasted, not before', async () => {
  const world = new World();
  world.stop();
  const { client } = await connected(world, { transports: ['websocket'] });
  await world.clock.run(20000);
  world.start();
  client.reconnect();
  world.stop();
  await world.clock.run(20000);
  const { tries } = client.stats();
  assert.ok(tries > 1);
  world.start();
  while (client.state !== 'open') await world.clock.run(100);
  await world.clock.run(3000);
  assert.ok(client.stats().tries >= tries);
  await world.clock.run(5000);
  assert.equal(client.stats().tries, 0);
});

test('a connection that is lost again and again after a good time stays the first choice, and is never given up', async () => {
  const world = new World();
  const { client } = await connected(world, { maxAttempts: 2 });
  for (let n = 0; n < 8; n++) {
    await world.clock.run(15000);
    world.cut();
  }
  await world.clock.run(15000);
  assert.equal(client.state, 'open');
  assert.ok(world.attempts.every(([, kind]) => kind === 'websocket'));
});

test('a second outage is reported again', async () => {
  const world = new World();
  const { page } = await connected(world);
  for (let n = 0; n < 2; n++) {
    world.cut();
    await world.clock.run(10000);
  }
  assert.deepEqual(page.codes, ['network', 'network']);
});

test('many connections leave no timers behind', async () => {
  const world = new World();
  const { client } = await connected(world, { transports: ['polling'] });
  world.server.publish();
  for (let n = 0; n < 30; n++) {
    client.reconnect();
    await world.clock.run(700);
  }
  assert.ok(client.stats().timers <= 3, JSON.stringify(client.stats()));
  assert.ok(world.clock.timers.size <= 40);
  assert.equal(client.stats().connects, 31);
});

test('an active connection is not asked for signs of life, a silent one as often as the options say', async () => {
  const world = new World();
  await connected(world);
  for (let n = 0; n < 20; n++) {
    world.server.publish();
    await world.clock.run(3000);
  }
  assert.equal(world.pings, 0);
  await world.clock.run(60000);
  assert.ok(world.pings >= 3 && world.pings <= 5, `${world.pings}`);
});

test('the first transport has less time only while another is below it and nothing has worked', async () => {
  const times = [];
  for (const [options, before] of [[{}, 'hang'], [{ transports: ['websocket'] }, 'hang'], [{}, 'ok']]) {
    const world = new World();
    world.ws = before;
    const { client, page } = await connected(world, options);
    if (before === 'ok') {
      world.ws = 'hang';
      await world.clock.run(6000);
      client.reconnect();
    }
    const since = world.clock.time;
    while (!page.codes.length) await world.clock.run(100);
    assert.deepEqual(page.codes, ['connect_timeout']);
    times.push(Math.round((world.clock.time - since) / 1000));
    client.disconnect();
  }
  assert.deepEqual(times, [3, 8, 8]);
});

test('while the connection is down nothing is tried beside it', async () => {
  const world = new World();
  world.ws = 'refuse';
  const { client } = await connected(world);
  await world.clock.run(10000);
  assert.equal(client.transport, 'sse');
  world.stop();
  for (let n = 0; n < 300; n++) {
    await world.clock.run(1000);
    const { live, probing } = client.stats();
    assert.ok(!probing && live <= 1);
  }
  client.disconnect();
});

test('a full server says so in a frame, which is no sign of a working connection, and its wish is waited for', async () => {
  const world = new World();
  world.ws = 'full';
  const { client, page } = await connected(world, { transports: ['websocket'] });
  assert.deepEqual(page.states, ['connecting', 'waiting']);
  assert.deepEqual([page.codes, page.errors[0].message], [['full'], 'Cheio.']);
  const wait = page.errors[0].retryAt - world.clock.time;
  assert.ok(wait > 3500 && wait <= 4500, `${wait}`);
  client.disconnect();
});

test('a stream is alive while comments come, as seldom as the server said', async () => {
  for (const heartbeat of [15000, 60000]) {
    const world = new World();
    world.server.heartbeat = heartbeat;
    const { client, page } = await connected(world, { transports: ['sse'] });
    await world.clock.run(200000);
    assert.deepEqual(page.states, ['connecting', 'open'], `${heartbeat}`);
    client.disconnect();
  }
});

test('4410 and 204 are no errors even where the end was not seen', async () => {
  const world = new World();
  world.ws = 4410;
  const first = await connected(world);
  assert.equal(first.client.state, 'closed');
  assert.equal(first.page.errors.length, 0);
  const other = new World();
  other.sse = () => new Response(null, { status: 204 });
  const second = await connected(other, { transports: ['sse'] });
  assert.equal(second.client.state, 'closed');
  assert.equal(second.page.errors.length, 0);
});

test('a new run that begins right after the end keeps the client', async () => {
  const world = new World();
  world.finishes = false;
  const { client, page } = await connected(world);
  world.server.finish();
  await world.clock.run(1000);
  world.server.begin('bbbb');
  world.server.publish();
  await world.clock.run(5000);
  assert.equal(client.state, 'open');
  world.server.finish('erro');
  await world.clock.run(1000);
  assert.equal(page.events.filter((type) => type === 'done').length, 2);
});

test('the counts are what happened', async () => {
  const world = new World();
  const { client } = await connected(world, { replay: true });
  world.mangle = (message) => [message, message];
  range(1, 3).forEach(() => world.server.publish());
  await world.clock.run(100);
  const { connects, gaps, updates, duplicates, resets } = client.stats();
  assert.deepEqual({ connects, gaps, updates, duplicates, resets }, { connects: 1, gaps: 0, updates: 3, duplicates: 3, resets: 0 });
});

// -- configuration, addresses and tokens

test('what can\'t work is reported at once, and nothing is tried', async () => {
  for (const [options, session] of [[{}, ''], [{ baseUrl: 'nowhere' }, 's'], [{ baseUrl: 'ftp://x/' }, 's'], [{ transports: [] }, 's'], [{ transports: ['smoke'] }, 's']]) {
    const world = new World();
    const client = world.client(options);
    client.sessionId = session;
    const made = session ? client : new client.constructor('', { ...options, baseUrl: 'https://rpa.test/', fetch: world.fetch, WebSocket: world.WebSocket });
    const page = new Page(made);
    made.connect();
    assert.deepEqual(page.codes, ['config']);
    assert.deepEqual([page.errors[0].category, page.errors[0].fatal], ['config', true]);
    assert.equal(made.state, 'closed');
    await settle();
    assert.equal(world.attempts.length, 0);
  }
});

test('a message that makes no sense at all is reported and skipped', async () => {
  const world = new World();
  const { client, page } = await connected(world);
  const [socket] = world.sockets;
  socket.onmessage({ data: JSON.stringify({ type: 'reset', epoch: 'x', seq: 1, snapshot: { epoch: 'x', seq: 1, final: true, erros: 7 } }) });
  assert.deepEqual(page.codes, ['protocol']);
  assert.equal(client.isConnected, true);
});

test('the addresses are those of docs/api.rst, under the base, with the scheme that belongs to it', async () => {
  for (const [baseUrl, ws] of [['https://h.test/x', 'wss://h.test/x/rpa/s'], ['http://localhost:8080', 'ws://localhost:8080/rpa/s']]) {
    const world = new World();
    world.server.publish();
    await connected(world, { baseUrl });
    const [socket] = world.sockets;
    assert.equal(socket.url.href.split('?')[0], ws);
    assert.equal(socket.protocols, 'rpa.v1');
  }
});

test('the token goes into the subprotocol of a WebSocket, and into the query elsewhere', async () => {
  const world = new World();
  await connected(world, { token: 'a.b-c' });
  const [socket] = world.sockets;
  assert.deepEqual(socket.protocols, ['rpa.v1', 'token.a.b-c']);
  assert.ok(!socket.url.search.includes('a.b-c'));
  for (const transports of [['sse'], ['polling']]) {
    const urls = [];
    const other = new World();
    await connected(other, {
      transports, token: async () => 'x=&y', fetch: (url, options) => {
        urls.push(new URL(url));
        return other.fetch(url, options);
      },
    });
    assert.equal(urls[0].searchParams.get('token'), 'x=&y');
  }
});

test('a token that can\'t be had is reported as auth and asked for again', async () => {
  const world = new World();
  let calls = 0;
  const { page, client } = await connected(world, { token: async () => { if (!calls++) throw new Error('login'); return 't'; } });
  assert.deepEqual(page.codes, ['auth']);
  await world.clock.run(2000);
  assert.equal(client.state, 'open');
});

// -- reloads of the page, and connecting once more

function storage() {
  const items = new Map();
  return { items, getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value) };
}

test('a reloaded page shows what it had at once and goes on from there', async () => {
  const world = new World();
  const resumeStore = storage();
  const first = await connected(world, { resumeStore });
  range(1, 3).forEach(() => world.server.publish());
  await world.clock.run(100);
  first.client.disconnect();
  world.server.publish();
  const client = world.client({ resumeStore });
  const page = new Page(client);
  client.connect();
  assert.deepEqual(page.numbers, [3]);
  await world.clock.run(200);
  assert.deepEqual(page.numbers, [3, 4]);
  world.server.finish();
  await world.clock.run(5000);
  assert.ok(![...resumeStore.items.values()].some((text) => text.includes('passo')));
});

test('a reloaded page begins with the transport that worked', async () => {
  const world = new World();
  const resumeStore = storage();
  world.ws = 'refuse';
  const first = await connected(world, { resumeStore });
  await world.clock.run(20000);
  assert.equal(first.client.transport, 'sse');
  first.client.disconnect();
  world.attempts.length = 0;
  await connected(world, { resumeStore });
  assert.deepEqual(world.attempts.map(([, kind]) => kind), ['sse']);
});

test('a storage that is forbidden, full or another program\'s costs nothing but the resume', async () => {
  const refusing = { getItem: () => { throw new Error('no'); }, setItem: () => { throw new Error('no'); } };
  const others = { getItem: () => 'not JSON', setItem: () => {} };
  for (const resumeStore of [refusing, others, {}]) {
    const world = new World();
    const { page } = await connected(world, { resumeStore });
    world.server.publish();
    await world.clock.run(100);
    assert.deepEqual(page.numbers, [1]);
  }
});

test('done() tells how the run ended, also where the client was begun again or another run came after it', async () => {
  const world = new World();
  const client = world.client();
  client.connect();
  await world.clock.run(100);
  world.server.publish();
  world.server.finish('erro', { mensagem: 'Placa recusada' });
  await world.clock.run(10_000);
  assert.equal(client.state, 'closed');
  const outcome = () => client.done().then(({ estado }) => estado, ({ code }) => code);
  assert.equal(await outcome(), 'job_failed');
  client.connect();
  assert.equal(await outcome(), 'job_failed');
  await world.clock.run(10_000);
  assert.equal(await outcome(), 'job_failed');
  world.server.begin('aaaabbbbccccdddd');
  world.server.publish();
  client.connect();
  await world.clock.run(1000);
  world.server.finish();
  await world.clock.run(1000);
  assert.equal(await outcome(), 'sucesso');
  client.disconnect();
});
