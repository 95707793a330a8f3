import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { reduce } from '../src/snapshot.js';
import { Server, seeded } from './world.mjs';

const sync = (more) => ({ type: 'sync', epoch: 'a', seq: 0, recovered: false, snapshot: null, ...more });
const update = (seq, more) => ({ type: 'progress_update', epoch: 'a', seq, etapa: seq, percentual: seq, mensagem: `${seq}`, timestamp: 't', dados_extra: {}, ...more });
const fold = (messages, state = null) => messages.reduce((snapshot, message) => reduce(snapshot, message)[0], state);

test('what each message is', () => {
  const at3 = fold([sync({ recovered: true }), update(1), update(2), update(3)]);
  const cases = [
    [null, sync(), ''], [null, sync({ recovered: true }), 'position'], [null, sync({ seq: 3, snapshot: { epoch: 'a', seq: 3 } }), 'reset'],
    [null, update(1), 'next'], [null, update(2), 'gap'], [at3, update(3), 'old'], [at3, update(1), 'old'], [at3, update(4), 'next'],
    [at3, update(5), 'gap'], [at3, update(1, { epoch: 'b' }), 'next'], [at3, update(2, { epoch: 'b' }), 'gap'],
    [at3, sync({ seq: 3, recovered: true }), ''], [at3, sync({ seq: 5, recovered: true }), 'gap'],
    [at3, sync({ seq: 3, snapshot: { epoch: 'a', seq: 3 } }), 'old'], [at3, sync({ seq: 9, snapshot: { epoch: 'a', seq: 9 } }), 'reset'],
    [at3, { type: 'reset', epoch: 'b', seq: 1, snapshot: { epoch: 'b', seq: 1 } }, 'reset'], [at3, { type: 'novelty' }, ''],
    [at3, update(undefined, { epoch: undefined }), 'next'],
  ];
  for (const [state, message, expected] of cases) assert.equal(reduce(state, message)[1], expected, JSON.stringify(message));
});

test('in a run with holes a hole is no gap', () => {
  const state = fold([sync({ recovered: true }), update(1)]);
  assert.equal(reduce(state, update(1000), true)[1], 'next');
  assert.equal(reduce(state, update(1000, { epoch: 'b' }), true)[1], 'gap');
});

test('the state that comes in is left as it was', () => {
  const state = Object.freeze({ ...fold([sync({ recovered: true }), update(1)]), erros: Object.freeze([]), dados_extra: Object.freeze({}) });
  reduce(state, update(2, { evento: 'erro', erro: 'x', dados_extra: { a: 1 }, estimativas: {} }));
  assert.equal(state.seq, 1);
});

test('percent never falls and stays below 100 until the end; final never goes back', () => {
  const random = seeded(3);
  for (let round = 0; round < 100; round++) {
    let state = null;
    let [percent, final, estado] = [0, false, ''];
    for (let seq = 1; seq < 30; seq++) {
      const isFinal = random() < 0.05;
      const percentual = random() < 0.2 ? undefined : random() * 300;
      [state] = reduce(state, update(seq, { percentual, final: isFinal, estado: isFinal ? 'sucesso' : 'executando', epoch: 'a' }));
      assert.ok(state.percentual >= percent);
      assert.ok(state.final || state.percentual < 100);
      assert.ok(state.final || !final);
      if (final) assert.equal(state.estado, estado);
      [percent, final, estado] = [state.percentual, state.final, state.estado];
    }
  }
});

test('an update of another writer, with no more than step and text, is enough', () => {
  const state = fold([{ type: 'progress_update', etapa: 5, mensagem: 'Tela 5', timestamp: 't' }, { type: 'progress_update', etapa: 'x', mensagem: 'y', timestamp: 't' }]);
  assert.deepEqual([state.etapa_atual, state.mensagem, state.estado, state.final], [5, 'y', 'executando', false]);
  assert.equal(Math.round(state.percentual), 33);
});

test('a key that nobody knows stays out of the snapshot', () => {
  for (const more of [{}, { epoch: undefined, seq: undefined, total_etapas: 5 }]) {
    const before = fold([sync({ recovered: true }), update(1)]);
    const after = fold([update(2, { novidade: 1, erros: 'x', timestamp_inicio: 'u', ...more })], before);
    assert.deepEqual(Object.keys(after).filter((key) => !(key in before)), []);
    assert.deepEqual([after.erros, after.timestamp_inicio, after.total_etapas], [[], 't', more.total_etapas ?? 15]);
  }
});

test('a page that saw the updates holds what one holds that took the snapshot', () => {
  const path = new URL('fixtures/runs.json', import.meta.url);
  assert.ok(existsSync(path), 'made by tests/contract/test_web.py');
  const runs = JSON.parse(readFileSync(path, 'utf8'));
  assert.ok(runs.length > 2);
  for (const { updates, views } of runs) {
    let state = reduce(null, { type: 'sync', epoch: updates[0].epoch, seq: 0, recovered: true })[0];
    updates.forEach((each, i) => {
      [state] = reduce(state, each);
      const view = views[i];
      const plain = JSON.parse(JSON.stringify(state));
      for (const milestone of ['estimativas', 'resultado']) plain[milestone] ??= null;
      assert.deepEqual(plain, view, `update ${i + 1}`);
    });
  }
});

test('the state behind a stream does not depend on how it came', () => {
  const server = new Server();
  const random = seeded(11);
  for (let n = 0; n < 20; n++) server.publish();
  const [snapshot] = server.greeting('');
  const whole = reduce(null, snapshot)[0];
  const states = [];
  for (let round = 0; round < 20; round++) {
    const cut = Math.floor(random() * 20);
    const seen = fold([sync({ epoch: server.epoch, recovered: true }), ...server.updates.slice(0, cut)]);
    states.push(fold(server.greeting(cut ? `${server.epoch}:${cut}` : '0'), seen));
  }
  for (const state of states) {
    assert.deepEqual([state.seq, state.percentual, state.mensagem, state.estado], [whole.seq, whole.percentual, whole.mensagem, whole.estado]);
    assert.deepEqual(state, states[0]);
  }
});
