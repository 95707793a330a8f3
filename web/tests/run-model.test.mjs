// The model of a run: its bar, its steps, its clock. The words for them are tested in view.test.mjs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { advance, applySnapshot } from '../src/run-model.js';

const START = Date.parse('2025-01-02T10:00:00');
const at = (seconds) => START + seconds * 1000;
const snapshot = (etapa, more) => ({
  epoch: 'e1', etapa_atual: etapa, total_etapas: 15, mensagem: `passo ${etapa}`, estado: 'executando', final: false,
  timestamp_inicio: '2025-01-02T10:00:00', timestamp_atualizacao: '2025-01-02T10:00:00', ...more,
});

test('the model that comes in is left as it was', () => {
  const before = Object.freeze(applySnapshot({}, snapshot(3), at(0)));
  const after = applySnapshot(before, snapshot(4), at(5));
  assert.deepEqual([before._step, after._step], [3, 4]);
});

test('a step has the name of its first message', () => {
  let model = applySnapshot({}, snapshot(3), at(0));
  model = applySnapshot(model, snapshot(3, { mensagem: 'Tela 3 concluída' }), at(1));
  assert.equal(model._stepName, 'passo 3');
  for (const over of ['Tela 4 concluída', 'Tela 4 pulada', 'Tela 4 falhou']) {
    assert.equal(applySnapshot(model, snapshot(4, { mensagem: over }), at(2))._stepName, '', over);
  }
});

test('a repeated step leaves the bar where it is, another run begins anew', () => {
  let model = applySnapshot({}, snapshot(9), at(0));
  const { _percent: reached } = model;
  model = applySnapshot(model, snapshot(3), at(1));
  assert.deepEqual([model._isRepeated, model._percent], [true, reached]);
  model = applySnapshot(model, snapshot(1, { epoch: 'e2' }), at(2));
  assert.ok(model._percent < 5);
});

test('time left is unknown before a second step, and once the run is over', () => {
  const first = applySnapshot({}, snapshot(7), at(0));
  const second = applySnapshot(first, snapshot(8), at(6));
  const over = applySnapshot(second, snapshot(15, { final: true, estado: 'sucesso' }), at(9));
  assert.ok(Number.isNaN(first._secondsLeft));
  assert.ok(second._secondsLeft > 30);
  assert.ok(Number.isNaN(over._secondsLeft));
  assert.equal(over._percent, 100);
});

test('the clock moves a run that goes on, and none that has ended', () => {
  const model = applySnapshot({}, snapshot(8), at(0));
  assert.equal(advance(model, snapshot(8), at(10))._elapsed, 10);
  const over = snapshot(8, { final: true, estado: 'erro' });
  assert.equal(advance(applySnapshot(model, over, at(0)), over, at(500))._elapsed, 0);
});
