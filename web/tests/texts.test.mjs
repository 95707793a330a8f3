// Words: both languages say the same things.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import * as more from '../src/more.js';
import { duration, learned, say } from '../src/texts.js';

const keys = [...readFileSync(new URL('../src/texts.js', import.meta.url), 'utf8').matchAll(/^(?:for .*`)?(\w+)\|/gm)].map(([, key]) => key);

test('every text is there in both languages, with the same places to fill', () => {
  assert.ok(keys.length >= 30);
  assert.deepEqual(Object.keys(more.en).sort(), [...keys].sort());
  for (const key of keys) {
    const pt = say('pt-BR', key, '#', '@');
    for (const mark of '#@') assert.equal(more.en[key].includes(mark), pt.includes(mark), key);
  }
});

test('English is learned, and until then Portuguese speaks', () => {
  assert.equal(say('en', 'sucesso'), 'Cotação concluída');
  Object.assign(learned.en, more.en);
  assert.equal(say('en', 'sucesso'), 'Quote ready');
  assert.equal(say('pt-BR', 'sucesso'), 'Cotação concluída');
  assert.equal(say('en', 'step', 5, 15), 'Step 5 of 15');
});

test('a word that is no key of ours is said as it is', () => {
  for (const word of ['<img>', 'qualquer', '', 'a|b']) assert.equal(say('pt-BR', word), word);
  for (const word of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    assert.equal(say('pt-BR', word), word);
    assert.equal(say('en', word), word);
  }
});

test('a price with a dollar sign goes in as it is', () => {
  assert.equal(say('pt-BR', 'range', 'R$ 1,00', 'R$& $1 $$'), 'De R$ 1,00 até R$& $1 $$');
});

test('seconds are told as people tell them', () => {
  const told = [[0, '0 s'], [42.9, '42 s'], [59.99, '59 s'], [60, '1 min 00 s'], [65, '1 min 05 s'], [75, '1 min 15 s'], [3600, '60 min 00 s']];
  for (const [seconds, words] of told) assert.equal(duration(seconds), words);
});
