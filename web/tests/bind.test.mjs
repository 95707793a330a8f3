// What each data-rpa-* attribute does, on stubs of elements.

import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { bind } from '../src/bind.js';

let written;
const node = (attributes) => {
  const made = {
    style: {},
    on: new Set(),
    classList: { toggle: (name, isOn) => (isOn ? made.on.add(name) : made.on.delete(name)) },
    getAttribute: (name) => attributes[name],
    words: attributes.words ?? '',
    get textContent() { return made.words; },
    set textContent(words) {
      written += 1;
      made.words = `${words}`;
    },
    attributes,
  };
  return made;
};
const root = (...nodes) => ({
  querySelectorAll: (selector) => nodes.filter(({ attributes }) => selector.startsWith('[') && selector.slice(1).split(']')[0] in attributes),
});
const view = (more) => ({ on: {}, value: undefined, ...more });

beforeEach(() => {
  written = 0;
  globalThis.getComputedStyle = ({ style }) => ({ display: style.display || 'flex' });
});

test('words go in where they are known, and only when they changed', () => {
  const one = node({ 'data-rpa-text': 'mensagem', words: 'placeholder' });
  bind(root(one), view());
  assert.equal(one.words, 'placeholder');
  bind(root(one), view({ mensagem: 'Tela 1' }));
  bind(root(one), view({ mensagem: 'Tela 1' }));
  assert.deepEqual([one.words, written], ['Tela 1', 1]);
  bind(root(one), view({ mensagem: '' }));
  assert.equal(one.words, '');
});

test('before the run empty words leave the page\'s own, but not those of a run before', () => {
  const [own, filled] = [node({ 'data-rpa-text': 'nome', words: 'Já vai começar.' }), node({ 'data-rpa-text': 'nome', words: '?' })];
  const waiting = view({ on: { waiting: true }, nome: '' });
  bind(root(filled), view({ nome: 'Tela 1' }));
  bind(root(own, filled), waiting);
  assert.deepEqual([own.words, filled.words], ['Já vai começar.', '']);
  bind(root(own), view({ on: { running: true }, nome: '' }));
  assert.equal(own.words, '');
});

test('numbers are words, lists and inherited names are not', () => {
  const nodes = ['etapa', 'plans', 'constructor', 'toString', '__proto__'].map((path) => node({ 'data-rpa-text': path, words: '?' }));
  bind(root(...nodes), view({ etapa: 5, plans: [['a']] }));
  assert.deepEqual(nodes.map(({ words }) => words), ['5', '?', '?', '?', '?']);
});

test('names of plans and estimates have dots', () => {
  const one = node({ 'data-rpa-text': ' plan.recomendado.valor ' .trim() });
  bind(root(one), view({ 'plan.recomendado.valor': 'R$ 1,00' }));
  assert.equal(one.words, 'R$ 1,00');
});

test('a width follows the bar, and is left alone while there is none', () => {
  const one = node({ 'data-rpa-width': 'percent' });
  bind(root(one), view());
  assert.equal(one.style.width, '');
  bind(root(one), view({ percent: '0%' }));
  assert.equal(one.style.width, '0%');
  bind(root(one), view({ percent: '38%' }));
  assert.equal(one.style.width, '38%');
});

test('an element is visible while one of its conditions holds', () => {
  const one = node({ 'data-rpa-show': 'offline, stalled' });
  bind(root(one), view({ on: { running: true } }));
  assert.equal(one.style.display, 'none');
  bind(root(one), view({ on: { stalled: true } }));
  assert.equal(one.style.display, '');
});

test('an element that its page wrote as hidden comes and goes by that attribute, and whatever the page\'s style says', () => {
  const one = node({ 'data-rpa-show': 'done', hidden: '' });
  one.hidden = true;
  bind(root(one), view({ on: { running: true } }));
  assert.deepEqual([one.hidden, one.style.display], [true, 'none']);
  bind(root(one), view({ on: { done: true } }));
  assert.deepEqual([one.hidden, one.style.display], [false, '']);
});

test('an element that its designer hid by a class is shown all the same', () => {
  globalThis.getComputedStyle = ({ style }) => ({ display: style.display || 'none' });
  const one = node({ 'data-rpa-show': 'done' });
  bind(root(one), view({ on: { done: true } }));
  assert.equal(one.style.display, 'block');
});

test('only conditions of ours hold', () => {
  const one = node({ 'data-rpa-show': 'constructor toString __proto__' });
  bind(root(one), view());
  assert.equal(one.style.display, 'none');
});

test('classes come and go with their conditions', () => {
  const one = node({ 'data-rpa-class': 'is-late:stalled is-done:done' });
  bind(root(one), view({ on: { stalled: true } }));
  assert.deepEqual([...one.on], ['is-late']);
  bind(root(one), view({ on: { done: true } }));
  assert.deepEqual([...one.on], ['is-done']);
});

test('an empty or untidy list of classes stops nothing', () => {
  const nodes = ['', ' ', 'is-late:stalled ', ' is-late:stalled', 'is-late:stalled, ,', ':stalled', 'is-late'].map((words) => node({ 'data-rpa-class': words }));
  for (const { classList } of nodes) {
    const { toggle } = classList;
    classList.toggle = (name, isOn) => {
      if (!name) throw new SyntaxError('The token provided must not be empty.'); // as browsers throw it
      toggle(name, isOn);
    };
  }
  bind(root(...nodes), view({ on: { stalled: true } }));
  assert.deepEqual(nodes.map(({ on }) => [...on].join()), ['', '', 'is-late', 'is-late', 'is-late', '', '']);
});

test('a click on retry asks for the connection anew', () => {
  const one = node({ 'data-rpa-retry': '' });
  const onRetry = () => {};
  bind(root(one), view({ onRetry }));
  assert.equal(one.onclick, onRetry);
});
