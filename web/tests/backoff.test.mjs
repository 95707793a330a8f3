import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoff } from '../src/backoff.js';
import { seeded } from './world.mjs';

const BASE = 500;
const CAP = 30000;
const many = (n, spread, random = seeded(n + 1)) => Array.from({ length: 2000 }, () => backoff(n, BASE, CAP, random(), spread));

test('the first wait is jittered over all of the base', () => {
  const waits = many(0);
  assert.ok(Math.min(...waits) < 25 && Math.max(...waits) > 475 && Math.max(...waits) < 500);
});

test('the ceiling doubles until the cap, and from the second wait on there is a floor', () => {
  for (let n = 1; n < 6; n++) {
    const waits = many(n);
    assert.ok(Math.max(...waits) <= BASE * 2 ** n && Math.max(...waits) > 0.95 * BASE * 2 ** n);
    assert.ok(Math.min(...waits) >= 250);
  }
});

test('after the cap waits still differ by far more than a quarter from their mean', () => {
  for (const n of [6, 20, 1000]) {
    const waits = many(n);
    const mean = waits.reduce((sum, one) => sum + one, 0) / waits.length;
    assert.ok(Math.max(...waits) <= CAP);
    assert.ok(Math.min(...waits) < 0.75 * mean && Math.max(...waits) > 1.25 * mean, `${Math.min(...waits)} ${mean}`);
  }
});

test('pages that failed together are spread at least over the time asked for', () => {
  const waits = many(0, 6000);
  assert.ok(Math.max(...waits) > 5700 && Math.min(...waits) < 300);
});
