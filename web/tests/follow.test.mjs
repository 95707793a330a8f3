// Views of a followed run: while it goes on, when it can't be followed any more, and when the page cancels an event.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { follow } from '../src/follow.js';
import * as data from '../src/loaded-data.js';
import { loaded } from '../src/words.js';
import { settle, World } from './world.mjs';

const kept = { setTimeout, clearTimeout, setInterval, clearInterval, now: Date.now };
const fields = [...loaded.fields];
let world;
let ends;

beforeEach(() => {
  world = new World();
  ends = [];
  const { clock } = world;
  const again = new Map(); // by interval, the timer of its next run
  const repeat = (id, work, ms) => again.set(id, clock.setTimeout(() => {
    repeat(id, work, ms);
    work();
  }, ms));
  Object.assign(globalThis, {
    document: { documentElement: { lang: '' } }, WebSocket: world.WebSocket, fetch: world.fetch, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout,
    setInterval(work, ms) {
      const id = {};
      repeat(id, work, ms);
      return id;
    },
    clearInterval: (id) => clock.clearTimeout(again.get(id)),
  });
  Date.now = clock.now;
  Object.assign(loaded, { words: data.words, fields: data.fields, _isComplete: true });
});

afterEach(() => {
  ends.forEach((end) => end());
  const { now, ...timers } = kept;
  Object.assign(globalThis, timers);
  Date.now = now;
  delete globalThis.document;
  Object.assign(loaded, { words: {}, fields });
});

/** Follow the world's run; *heard* gets each result and error event, and may cancel it. */
function watch(options = {}, heard = () => {}) {
  const target = new EventTarget();
  const seen = { views: [], succeeded: 0, target };
  for (const kind of ['result', 'error']) target.addEventListener(`rpa:${kind}`, heard);
  const asked = { 'base-url': 'https://rpa.test/', transport: 'websocket', ...options };
  seen.end = follow('s', (name) => asked[name], target, (view) => seen.views.push(view), () => seen.succeeded++);
  ends.push(seen.end);
  Object.defineProperty(seen, 'view', { get: () => seen.views[seen.views.length - 1] });
  return seen;
}

test('a session that can never be followed is shown as that, and nothing says that it is being connected or will begin', async () => {
  const seen = watch({ 'base-url': 'ftp://nowhere' });
  for (let second = 0; second < 20; second++) {
    await world.clock.run(1000);
    const { on, estado, erro, dica, aviso } = seen.view;
    assert.deepEqual([estado, erro, dica, aviso], ['Acompanhamento interrompido', 'Não foi possível acompanhar a cotação.', '', '']);
    assert.deepEqual(Object.keys(on).filter((name) => on[name]), ['fault', 'error']);
  }
});

test('a run that is forbidden in its middle stands still where it was seen last, and is not said to have failed', async () => {
  const seen = watch();
  await world.clock.run(500);
  for (let step = 0; step < 6; step++) world.server.publish();
  await world.clock.run(2000);
  const { percent, tempo } = seen.view;
  assert.match(percent, /^\d+%$/);
  world.ws = 4403;
  world.cut(4403);
  await world.clock.run(500);
  const first = seen.view;
  await world.clock.run(300_000); // longer than any step may take without being late
  for (const view of [first, seen.view]) {
    assert.deepEqual([view.estado, view.erro, view.aviso, view.eta, view.dica, view.on.offline, view.on.running],
      ['Acompanhamento interrompido', 'Não foi possível acompanhar a cotação.', '', '', '', undefined, undefined]);
  }
  assert.deepEqual([seen.view.percent, seen.view.tempo], [first.percent, first.tempo]);
  assert.ok(tempo);
});

test('where it was forbidden and is not any more, a click goes on as if nothing had been', async () => {
  const seen = watch();
  await world.clock.run(500);
  world.server.publish();
  await world.clock.run(500);
  world.ws = 4403;
  world.cut(4403);
  await world.clock.run(60_000);
  world.ws = 'ok';
  seen.view.onRetry();
  await settle();
  const { on, estado, erro } = seen.view;
  assert.deepEqual([on.fault, on.offline, estado, erro], [undefined, false, 'Em andamento', '']);
  world.server.publish();
  await world.clock.run(1000);
  assert.equal(seen.view.etapa, 2);
});

test('a lost connection is still shown as that', async () => {
  const seen = watch();
  await world.clock.run(500);
  world.server.publish();
  await world.clock.run(500);
  world.stop();
  await world.clock.run(30_000);
  assert.deepEqual([seen.view.on.offline, seen.view.estado], [true, 'Em andamento']);
  assert.match(seen.view.aviso, /^Sem conexão/);
  world.start();
  await world.clock.run(60_000);
  assert.equal(seen.view.on.offline, false);
});

test('an error that the page took over is that error alone: a quote that comes later is shown and leads on', async () => {
  const seen = watch({}, (event) => event.type === 'rpa:error' && event.preventDefault());
  seen.target.addEventListener('rpa:error', (event) => event.preventDefault());
  await world.clock.run(500);
  world.server.publish();
  await world.clock.run(500);
  world.stop();
  await world.clock.run(20_000);
  world.start();
  await world.clock.run(60_000);
  world.server.finish();
  await world.clock.run(1000);
  assert.deepEqual([seen.view.plans.length, seen.succeeded], [1, 1]);
});

test('an error that the page took over is not shown: the run\'s, or that it can\'t be followed', async () => {
  const cancel = (event) => event.preventDefault();
  const seen = watch({ 'base-url': 'ftp://nowhere' }, cancel);
  await world.clock.run(20_000);
  assert.deepEqual([seen.view.estado, seen.view.erro, seen.view.on.offline], ['Acompanhamento interrompido', '', undefined]);
  const failed = watch({}, cancel);
  await world.clock.run(500);
  world.server.publish();
  world.server.finish('erro', { evento: 'erro', erro: 'Placa recusada' });
  await world.clock.run(1000);
  assert.deepEqual([failed.view.estado, failed.view.erro], ['Não foi possível concluir', '']);
});

test('a result that the page took over is not shown and leads nowhere', async () => {
  const seen = watch({}, (event) => event.preventDefault());
  await world.clock.run(500);
  world.server.publish();
  world.server.finish();
  await world.clock.run(1000);
  assert.deepEqual([seen.view.estado, seen.view.plans, seen.succeeded], ['Cotação concluída', [], 0]);
});

test('a new run right after the end has a clock of its own', async () => {
  const seen = watch();
  await world.clock.run(500);
  world.server.publish();
  world.server.finish('erro');
  await world.clock.run(1000);
  assert.equal(seen.view.on.final, true);
  world.server.begin('aaaabbbbccccdddd');
  world.server.publish();
  await world.clock.run(1000);
  const { tempo } = seen.view;
  await world.clock.run(5000);
  assert.equal(seen.view.on.running, true);
  assert.notEqual(seen.view.tempo, tempo);
});

test('a step beyond the last one is not the sixteenth of fifteen', async () => {
  const seen = watch();
  await world.clock.run(500);
  for (const etapa of [14, 15, 16]) world.server.publish({ etapa });
  await world.clock.run(1000);
  assert.equal(seen.view.passo, 'Etapa 15 de 15'); // as the snapshot of the server has it
});

test('words that come late are still shown, also of a run that has ended; then no timer is left', async () => {
  Object.assign(loaded, { words: {}, fields: [], _isComplete: false });
  const seen = watch();
  await world.clock.run(500);
  world.server.publish();
  world.server.finish();
  await world.clock.run(60_000);
  assert.deepEqual(seen.view.plans[0][2], []);
  Object.assign(loaded, { fields: [['valor_franquia', 'Franquia'], ['vidros', 'Vidros']], _isComplete: true });
  await world.clock.run(1500);
  assert.ok('plan.recomendado.vidros' in seen.view);
  assert.equal(world.clock.timers.size, 0);
});

test('once it is ended nothing is drawn and no timer is left', async () => {
  const seen = watch();
  await world.clock.run(500);
  world.server.publish();
  seen.end();
  const { length } = seen.views;
  await world.clock.run(60_000);
  assert.deepEqual([seen.views.length, world.clock.timers.size], [length, 0]);
});
