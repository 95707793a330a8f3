// Prices: as robots write them, and as visitors read them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseMoney, sayMoney } from '../src/money.js';

const NBSP = '\u00a0';

test('prices are read however a robot writes them', () => {
  const known = [
    ['R$4.631,57', 4631.57], ['R$ 1.234,56', 1234.56], [`R$${NBSP}4.025,00`, 4025], ['1.234,56', 1234.56],
    [1234.56, 1234.56], ['1234.56', 1234.56], ['1234,5', 1234.5], ['1.234', 1234], ['1.234.567,89', 1234567.89],
    ['0,00', 0], [0, 0], ['-1.234,56', -1234.56], [' R$ 10 ', 10], ['R$ 2.350', 2350],
  ];
  for (const [written, amount] of known) assert.equal(parseMoney(written), amount, String(written));
});

test('what is no price, or could be two, is none', () => {
  const unknown = ['', 'N/A', '-', null, undefined, true, {}, [], NaN, 'R$', 'abc', '100% da tabela FIPE', '1,234', '1.2.3',
    '12.345.6', '1,2,3', '1.234.56', '10x', '<img src=x onerror=alert(1)>', '1e5', '٣', '--1', '1 .'];
  for (const written of unknown) assert.ok(Number.isNaN(parseMoney(written)), String(written));
});

test('a price is said in reais, with a space that does not break', () => {
  assert.equal(sayMoney('R$4.631,57', 'pt-BR'), `R$${NBSP}4.631,57`);
  assert.equal(sayMoney(1234.5, 'pt-BR'), `R$${NBSP}1.234,50`);
  assert.equal(sayMoney('R$ 1.234,56', 'en'), 'R$1,234.56');
  assert.equal(sayMoney('-1.234,56', 'pt-BR'), `-R$${NBSP}1.234,56`);
});

test('a price that was not read is nothing, never zero', () => {
  for (const value of ['N/A', 'n/a', '', '-', null, undefined, {}]) {
    assert.doesNotMatch(sayMoney(value, 'pt-BR'), /0|R\$/, String(value));
  }
  assert.equal(sayMoney('N/A', 'pt-BR'), '');
  assert.equal(sayMoney('R$ 0,00', 'pt-BR'), `R$${NBSP}0,00`); // the robot did read a zero
});

test('words instead of a price pass through', () => {
  assert.equal(sayMoney('100% da tabela FIPE', 'pt-BR'), '100% da tabela FIPE');
  assert.equal(sayMoney('<b>1</b>', 'pt-BR'), '<b>1</b>');
});

test('every amount survives being said and read', () => {
  for (let cents = 1; cents < 5e8; cents = Math.ceil(cents * 1.7)) {
    const amount = cents / 100;
    assert.equal(parseMoney(sayMoney(amount, 'pt-BR')), amount);
  }
});
