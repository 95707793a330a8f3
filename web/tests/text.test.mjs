import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plainText } from '../src/text.js';

test('only words and numbers are text', () => {
  const cases = [['a', 'a'], [' a ', 'a'], [0, '0'], [null, ''], [undefined, ''], [{}, ''], [['a'], ''], [true, ''], ['N/A', ''], ['n/a', '']];
  for (const [value, words] of cases) assert.equal(plainText(value), words);
});
