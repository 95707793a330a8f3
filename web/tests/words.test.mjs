// Words: every Portuguese text has an English one, and the other way round.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { OUTCOMES as LISTED } from '../page-outcomes.js';
import { RPAError } from '../src/errors.js';
import * as data from '../src/loaded-data.js';
import { LOADED, OUTCOMES } from '../src/outcome.js';
import { duration, loaded, translate } from '../src/words.js';

const source = new URL('../src/', import.meta.url);
const sources = readdirSync(source).filter((name) => name.endsWith('.js') && name !== 'loaded-data.js')
  .map((name) => readFileSync(new URL(name, source), 'utf8')).join('\n') + JSON.stringify([data.fields, data.words]).replaceAll('"', "'");

test('whatever is translated is said somewhere, with the same marks to fill', () => {
  const translated = Object.entries(data.en);
  assert.ok(translated.length >= 30);
  for (const [pt, en] of translated) {
    assert.ok(sources.includes(`'${pt}'`), pt);
    for (const mark of '#@') assert.equal(en.includes(mark), pt.includes(mark), pt);
  }
});

test('whatever is said is translated', () => {
  const said = [...sources.matchAll(/\b(?:say|translate)\((?:lang, )?([^()]*'[^()]*)/g)].flatMap(([, words]) => [...words.matchAll(/'([^']+)'/g)]);
  const plans = [...sources.match(/const PLANS = \{[^}]*\}/)[0].matchAll(/: '([^']+)'/g)];
  assert.ok(said.length >= 12 && plans.length === 2);
  const outcomes = Object.values(OUTCOMES).map(({ _words }) => ['', _words]);
  const ofTheFile = Object.entries(data.words);
  for (const [, pt] of [...said, ...plans, ...outcomes, ...ofTheFile]) assert.ok(pt in data.en || translate('pt-BR', pt) in data.en, pt);
});

test('English is loaded, and until then Portuguese speaks', () => {
  assert.equal(translate('en', 'sucesso'), 'Cotação concluída');
  Object.assign(loaded.en, data.en);
  assert.equal(translate('en', 'sucesso'), 'Quote ready');
  assert.equal(translate('pt-BR', 'sucesso'), 'Cotação concluída');
  assert.equal(translate('en', 'Etapa # de @', 5, 15), 'Step 5 of 15');
  assert.equal(translate('en', data.words.true), 'yes');
});

test('every outcome has its colour, its error, and words in both languages', () => {
  for (const [estado, { _words, _kind, _failure }] of Object.entries(OUTCOMES)) {
    assert.ok(_words && ['running', 'good', 'warn', 'bad', 'muted'].includes(_kind), estado);
    assert.ok(_failure === '' || new RPAError(_failure).category === 'job', estado);
    assert.equal(translate('pt-BR', estado), _words);
    assert.equal(data.en[_words], LOADED[estado].english);
    const { hint, englishHint } = LOADED[estado];
    if (hint) assert.deepEqual([data.words[estado], data.en[hint]], [hint, englishHint]);
    // An outcome without a quote that has no hint of its own gets the general one, that the quote stopped before its
    // end: such an outcome must be a failure.
    assert.ok(hint || _failure || _kind === 'good', estado);
  }
  assert.deepEqual(Object.keys(LOADED), Object.keys(OUTCOMES));
});

test('the list of sessions says and colours an outcome as the widget does', () => {
  const ofTheList = Object.entries(OUTCOMES).map(([estado, { _words, _kind }]) => [estado, { words: _words, kind: _kind }]);
  assert.deepEqual(Object.entries(LISTED), ofTheList);
});

test('a word that nobody knows is said as it is', () => {
  for (const word of ['<img>', 'qualquer', '', 'constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    assert.equal(translate('pt-BR', word), word);
    assert.equal(translate('en', word), word);
  }
});

test('a price with a dollar sign goes in as it is', () => {
  assert.equal(translate('pt-BR', 'De # até @', 'R$ 1,00', 'R$& $1 $$'), 'De R$ 1,00 até R$& $1 $$');
});

test('seconds are said as people say them', () => {
  const cases = [[0, '0 s'], [42.9, '42 s'], [59.99, '59 s'], [60, '1 min 00 s'], [65, '1 min 05 s'], [75, '1 min 15 s'], [3600, '60 min 00 s']];
  for (const [seconds, words] of cases) assert.equal(duration(seconds), words);
});
