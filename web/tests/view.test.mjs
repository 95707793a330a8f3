// The words for a run, made from snapshots as the client has them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as data from '../src/loaded-data.js';
import { advance, applySnapshot } from '../src/run-model.js';
import { describe } from '../src/view.js';
import { loaded } from '../src/words.js';

Object.assign(loaded.en, data.en);
Object.assign(loaded, { fields: data.fields, words: data.words });

const START = Date.parse('2025-01-02T10:00:00');
const MARKUP = '<img src=x onerror=alert(1)>';
const at = (seconds) => START + seconds * 1000;
const stamp = (seconds) => {
  const local = new Date(at(seconds) - new Date(at(seconds)).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, -1); // as the robot writes it: no zone
};
const state = (more) => ({
  epoch: 'e1', seq: 1, etapa_atual: 1, total_etapas: 15, percentual: 6.7, mensagem: '', timestamp_inicio: stamp(0),
  timestamp_atualizacao: stamp(0), dados_extra: {}, erros: [], estado: 'executando', final: false, estimativas: null,
  resultado: null, ...more,
});
const ended = (estado, more) => state({ estado, final: true, etapa_atual: 15, percentual: 100, ...more });
/** Return *s* as the client has it *duration* seconds into the run, *inStep* seconds into the step, unchanged since. */
const aged = (s, duration, inStep = 0, silence = inStep) => ({
  ...s, duracao_ms: duration * 1000, idade_ms: silence * 1000, _stepMs: inStep * 1000,
});
/** Apply *states*, each at the time of its timestamp; return the view of the last one. */
const show = (states, lang = 'pt-BR') => {
  let model = {};
  for (const s of states) model = applySnapshot(model, aged(s, (Date.parse(s.timestamp_atualizacao) - START) / 1000));
  return describe(model, states[states.length - 1], lang);
};

test('a run of which nothing is known waits', () => {
  const view = describe({}, {}, 'pt-BR');
  assert.equal(view.estado, 'Aguardando o início');
  assert.equal(view.value, undefined);
  assert.deepEqual([view.on.waiting, view.on.running, view.on.done, view.on.error], [true, false, false, false]);
});

test('a step has its number, its name and the newest words', () => {
  const view = show([state({ etapa_atual: 5, mensagem: 'Elaborando estimativas' })]);
  assert.deepEqual([view.passo, view.nome, view.mensagem], ['Etapa 5 de 15', 'Elaborando estimativas', '']);
  const later = show([state({ etapa_atual: 5, mensagem: 'Elaborando estimativas' }), state({ etapa_atual: 5.5, mensagem: 'Zero KM' })]);
  assert.deepEqual([later.passo, later.nome, later.mensagem], ['Etapa 5 de 15', 'Elaborando estimativas', 'Zero KM']);
});

test('a step that is seen when it is over has no name', () => {
  const view = show([state({ etapa_atual: 5, mensagem: 'Tela 5 concluída' })]);
  assert.deepEqual([view.nome, view.mensagem], ['', 'Tela 5 concluída']);
});

test('the bar never goes back within a run, and starts over with the next', () => {
  let model = applySnapshot({}, aged(state({ etapa_atual: 9 }), 0));
  const reached = describe(model, state({ etapa_atual: 9 }), 'pt-BR').value;
  model = applySnapshot(model, aged(state({ etapa_atual: 3 }), 0));
  const again = describe(model, state({ etapa_atual: 3 }), 'pt-BR');
  assert.equal(again.value, reached);
  assert.equal(again.passo, 'Etapa 3 de 15');
  assert.equal(again.aviso, 'Tentando novamente.');
  model = applySnapshot(model, aged(state({ epoch: 'e2', etapa_atual: 1 }), 0));
  assert.ok(describe(model, state({ epoch: 'e2' }), 'pt-BR').value < 5);
});

test('the bar moves with the clock, and is full for a quote alone', () => {
  const s = state({ etapa_atual: 15 });
  let model = applySnapshot({}, aged(s, 0));
  const values = [];
  for (let second = 0; second < 300; second += 10) {
    model = advance(model, aged(s, second, second));
    values.push(describe(model, s, 'pt-BR').value);
  }
  assert.deepEqual(values, [...values].sort((a, b) => a - b));
  assert.ok(values[0] < 50 && values[values.length - 1] > 90 && values[values.length - 1] < 100, values.join());
  assert.equal(show([ended('sucesso')]).value, 100);
  for (const estado of ['erro', 'cotacao_manual', 'expirado', 'cancelado']) {
    assert.ok(show([state({ etapa_atual: 2 }), ended(estado)]).value < 10, estado);
  }
});

test('a12 the time elapsed is the run\'s, whatever its robot\'s times say', () => {
  for (const timestamp_inicio of [stamp(0), stamp(-3600 * 3), stamp(86_400 * 400), 'ontem']) {
    const s = state({ timestamp_inicio });
    const view = describe(advance(applySnapshot({}, aged(s, 75)), aged(s, 85, 10)), s, 'pt-BR');
    assert.equal(view.tempo, 'Tempo: 1 min 25 s', timestamp_inicio);
  }
});

test('an ended run\'s time stands still', () => {
  const s = ended('sucesso', { timestamp_atualizacao: stamp(90) });
  const model = advance(applySnapshot({}, aged(s, 95, 5)), aged(s, 5000, 4910));
  assert.equal(describe(model, s, 'pt-BR').tempo, 'Tempo: 1 min 30 s');
});

test('an estimate waits for a second step, goes away at the end and when it is late', () => {
  const first = state({ etapa_atual: 7 });
  const second = state({ etapa_atual: 8, timestamp_atualizacao: stamp(6) });
  assert.equal(show([first]).eta, '');
  assert.equal(show([first, second]).eta, 'Faltam cerca de 2 min');
  assert.equal(show([first, second], 'en').eta, 'About 2 min left');
  const late = advance(applySnapshot(applySnapshot({}, aged(first, 0)), aged(second, 6)), aged(second, 200, 194));
  const view = describe(late, second, 'pt-BR');
  assert.deepEqual([view.eta, view.on.stalled], ['', true]);
  assert.equal(view.aviso, 'Está demorando mais que o normal; ainda em andamento (etapa 8).');
  assert.equal(show([first, second, ended('sucesso')]).eta, '');
});

test('a last step that nears its end is said in words, not in seconds', () => {
  const before = state({ etapa_atual: 14 });
  const last = state({ etapa_atual: 15, timestamp_atualizacao: stamp(1) });
  let model = applySnapshot(applySnapshot({}, aged(before, 0)), aged(last, 1));
  for (let second = 2; second < 130; second += 1) model = advance(model, aged(last, second, second - 1));
  assert.equal(describe(model, last, 'pt-BR').eta, 'Falta menos de 1 min');
});

test('each outcome says what it is, and only a failure is an error', () => {
  const erros = [{ erro: 'Placa recusada', contexto: '', timestamp: stamp(0) }];
  const outcomes = {
    sucesso: ['Cotação concluída', 'Os valores não foram informados.', '', 'done'],
    cotacao_manual: ['Cotação manual necessária', 'A cotação precisa ser feita por uma pessoa.', '', 'error'],
    erro: ['Não foi possível concluir', 'A cotação parou antes do fim.', 'Placa recusada', 'error'],
    expirado: ['Cotação expirada', 'A cotação parou antes do fim.', 'Placa recusada', 'error'],
    cancelado: ['Cotação cancelada', 'A cotação parou antes do fim.', 'Placa recusada', 'error'],
  };
  for (const [estado, [label, hint, error, condition]] of Object.entries(outcomes)) {
    const view = show([ended(estado, { erros })]);
    assert.deepEqual([view.estado, view.dica, view.erro], [label, hint, error], estado);
    assert.deepEqual(['done', 'error', 'running', 'waiting'].filter((name) => view.on[name]), [condition], estado);
    assert.ok(view.on[estado] && view.on.final, estado);
    assert.deepEqual([view.nome, view.mensagem], ['', ''], estado);
  }
});

test('a run that failed stays at the step where it stopped', () => {
  const view = show([state({ etapa_atual: 2 }), ended('erro', { mensagem: 'Tela 2 falhou' })]);
  assert.deepEqual([view.passo, view.mensagem, view.erro], ['Etapa 2 de 15', 'Tela 2 falhou', '']);
  assert.deepEqual([show([ended('erro')]).passo, show([ended('sucesso')]).passo], ['', 'Etapa 15 de 15']);
});

test('an error that only the last update has is shown', () => {
  const view = show([state({ etapa_atual: 2 }), ended('erro', { erro: 'Placa recusada' })]);
  assert.equal(view.erro, 'Placa recusada');
});

test('a number of steps that is none is no reason to stop', () => {
  for (const total of [MARKUP, -3, 0, 2.5, null, {}, 1e12]) {
    const s = state({ total_etapas: total, etapa_atual: 2 });
    const { value } = describe(applySnapshot({}, aged(s, 0)), s, 'pt-BR');
    assert.ok(value >= 0 && value < 100, `${total}: ${value}`);
  }
});

test('an error in mid-run is shown until the robot goes on', () => {
  const erros = [{ erro: 'Tela 3 não abriu', contexto: '', timestamp: stamp(5) }];
  assert.equal(show([state({ erros, timestamp_atualizacao: stamp(5) })]).erro, 'Tela 3 não abriu');
  assert.equal(show([state({ erros, timestamp_atualizacao: stamp(6) })]).erro, '');
});

test('the robot\'s internal full stop is not shown', () => {
  assert.equal(show([state({ mensagem: 'a' }), state({ mensagem: 'RPA success' })]).mensagem, '');
});

test('both plans are shown field by field, and what was not read is said to be unknown', () => {
  const recomendado = { valor: 'R$4.631,57', parcelamento: 'anual', vidros: false, assistencia: true, valor_franquia: 'N/A' };
  const alternativo = { valor: 'N/A', parcelamento: 'N/A', vidros: false };
  const view = show([ended('sucesso', { resultado: { plano_recomendado: recomendado, plano_alternativo: alternativo } })]);
  const [[title, price, rows], [other, none, nothing]] = view.plans;
  assert.deepEqual([title, price], ['Plano recomendado', 'R$\u00a04.631,57']);
  assert.equal(rows.length, 12);
  const words = Object.fromEntries(rows);
  assert.deepEqual([words.Vidros, words['Assistência'], words.Franquia, words.Parcelamento], ['não', 'sim', 'não informado', 'anual']);
  assert.deepEqual([other, none, nothing], ['Plano alternativo', 'não informado', []]);
  assert.equal(view['plan.recomendado.valor'], 'R$\u00a04.631,57');
  assert.equal(view['plan.alternativo.valor'], 'não informado');
  assert.equal(view.dica, '');
});

test('a number of instalments is no price', () => {
  const view = show([ended('sucesso', { resultado: { plano_recomendado: { valor: 10, parcelamento: 10 } } })]);
  assert.equal(view['plan.recomendado.parcelamento'], '10');
  assert.equal(view['plan.recomendado.valor'], 'R$\u00a010,00');
});

test('a success without any price says so', () => {
  const plan = { valor: 'N/A', vidros: false };
  const view = show([ended('sucesso', { resultado: { plano_recomendado: plan, plano_alternativo: plan } })]);
  assert.equal(view.dica, 'Os valores não foram informados.');
  assert.doesNotMatch(JSON.stringify(view), /R\$/);
});

test('estimates have a range each, and the widest for all', () => {
  const estimativas = {
    coberturas_detalhadas: [
      { nome_cobertura: 'CompreensivaDe', valores: { de: 'R$ 2.400,00', ate: 'R$ 2.900,00' } },
      { nome_cobertura: 'RCFDe', valores: { de: 'R$1.300,00' } },
      null, 'x', { nome: 'Vida Grande', valores: null },
    ],
  };
  const view = show([state({ estimativas })]);
  assert.deepEqual(view.estimate.map(([name, range]) => [name, range.replace(/\u00a0/g, ' ')]), [
    ['Compreensiva', 'De R$ 2.400,00 até R$ 2.900,00'], ['RCF', 'De R$ 1.300,00 até não informado'],
    ['', 'De não informado até não informado'], ['', 'De não informado até não informado'],
    ['Vida Grande', 'De não informado até não informado'],
  ]);
  assert.equal(view['estimate.min'], 'R$\u00a01.300,00');
  assert.equal(view['estimate.max'], 'R$\u00a02.900,00');
});

test('estimates without a readable price have no limits', () => {
  const view = show([state({ estimativas: { coberturas_detalhadas: [{ nome: 'a', valores: { de: 'N/A', ate: '' } }] } })]);
  assert.deepEqual([view['estimate.min'], view['estimate.max']], ['não informado', 'não informado']);
});

test('a state of strange types is shown without a throw', () => {
  const strange = [undefined, null, 0, -1, NaN, 1e9, '', MARKUP, [], {}, [null], true, { length: 3 }];
  const fields = ['mensagem', 'estado', 'erros', 'estimativas', 'resultado', 'timestamp_atualizacao', 'timestamp_inicio', 'dados_extra'];
  for (const field of fields) {
    for (const value of strange) {
      const s = state({ [field]: value, final: true });
      assert.doesNotThrow(() => describe(applySnapshot({}, aged(s, 0)), s, 'pt-BR'), `${field} ${JSON.stringify(value)}`);
    }
  }
  for (const value of strange) {
    const s = ended('sucesso', {
      resultado: { plano_recomendado: { valor: value, vidros: value }, plano_alternativo: value },
      estimativas: { coberturas_detalhadas: [{ nome: value, valores: { de: value } }, value] },
    });
    assert.doesNotThrow(() => describe(applySnapshot({}, aged(s, 0)), s, 'en'), JSON.stringify(value));
  }
});

test('an outcome that no one knows is shown as it came', () => {
  for (const estado of [MARKUP, 'constructor', 'toString']) {
    const view = show([state({ estado })]);
    assert.equal(view.estado, estado);
    assert.equal(view.on.running, true);
  }
});
