// The model of a run: its bar, its steps, its clock. The words for them are tested in view.test.mjs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { advance, applySnapshot } from '../src/run-model.js';

/** Return a snapshot as the client has it *duration* seconds into the run, *inStep* seconds into the step. */
const snapshot = (etapa, duration, more, inStep = 0) => ({
  epoch: 'e1', etapa_atual: etapa, total_etapas: 15, mensagem: `passo ${etapa}`, estado: 'executando', final: false,
  duracao_ms: duration * 1000, idade_ms: 0, _stepMs: inStep * 1000, ...more,
});

test('the model that comes in is left as it was', () => {
  const before = Object.freeze(applySnapshot({}, snapshot(3, 0)));
  const after = applySnapshot(before, snapshot(4, 5));
  assert.deepEqual([before._step, after._step], [3, 4]);
});

test('a step has the name of its first message', () => {
  let model = applySnapshot({}, snapshot(3, 0));
  model = applySnapshot(model, snapshot(3, 1, { mensagem: 'Tela 3 concluída' }));
  assert.equal(model._stepName, 'passo 3');
  for (const over of ['Tela 4 concluída', 'Tela 4 pulada', 'Tela 4 falhou']) {
    assert.equal(applySnapshot(model, snapshot(4, 2, { mensagem: over }))._stepName, '', over);
  }
});

test('a repeated step leaves the bar where it is, another run begins anew', () => {
  let model = applySnapshot({}, snapshot(9, 0));
  const { _percent: reached } = model;
  model = applySnapshot(model, snapshot(3, 1));
  assert.deepEqual([model._isRepeated, model._percent], [true, reached]);
  model = applySnapshot(model, snapshot(1, 2, { epoch: 'e2' }));
  assert.ok(model._percent < 5);
});

test('time left is unknown before a second step, and once the run is over', () => {
  const first = applySnapshot({}, snapshot(7, 0));
  const second = applySnapshot(first, snapshot(8, 6));
  const over = applySnapshot(second, snapshot(15, 9, { final: true, estado: 'sucesso' }));
  assert.ok(Number.isNaN(first._secondsLeft));
  assert.ok(second._secondsLeft > 30);
  assert.ok(Number.isNaN(over._secondsLeft));
  assert.equal(over._percent, 100);
});

test('time moves a run that goes on, and none that has ended', () => {
  const model = applySnapshot({}, snapshot(8, 3));
  assert.equal(advance(model, snapshot(8, 13, {}, 10))._elapsed, 13);
  const over = (silence) => snapshot(8, 13 + silence, { final: true, estado: 'erro', idade_ms: silence * 1000 }, 10 + silence);
  assert.equal(advance(applySnapshot(model, over(0)), over(500))._elapsed, 13);
});
