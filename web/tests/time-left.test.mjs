// The bar and the estimate: what they may never do, over whole runs second by second.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { roundMinutes, pace, smooth, TYPICAL } from '../src/time-left.js';

const percent = (...args) => pace(...args)._percent;
const isLate = (...args) => pace(...args)._isLate;
const left = (...args) => pace(...args)._secondsLeft;

/** Yield, for every second of a run whose steps take *durations* seconds, the arguments of pace() but *total*. */
function* play(durations) {
  let elapsed = 0;
  for (const [step, seconds] of durations.entries()) {
    for (let inStep = 0; inStep <= seconds; inStep += 1) yield { step, inStep, elapsed: elapsed + inStep };
    elapsed += seconds;
  }
}

const RUNS = {
  usual: TYPICAL.map(Math.ceil),
  quick: TYPICAL.map((seconds) => seconds / 3),
  slow: TYPICAL.map((seconds) => seconds * 2.5 + 1),
  stuck: TYPICAL.map((seconds, step) => (step === 15 ? 336 : seconds)),
};

for (const [name, durations] of Object.entries(RUNS)) {
  test(`the bar of a ${name} run goes forward only, and stays below 100`, () => {
    let before = 0;
    for (const { step, inStep, elapsed } of play(durations)) {
      const now = percent(15, step, inStep, elapsed);
      assert.ok(now >= before && now < 100, `${name} ${step} ${inStep}: ${before} → ${now}`);
      before = now;
    }
    assert.ok(before > (name === 'quick' ? 50 : 90), before);
  });
}

test('the bar never passes into a step that has not begun', () => {
  for (let step = 0; step < 15; step += 1) {
    assert.ok(percent(15, step, 1e6, 1e6) < percent(15, step + 1, 0, 0), step);
  }
});

test('the last step is worth what it takes, not a fifteenth', () => {
  assert.ok(percent(15, 15, 0, 0) < 50);
  assert.ok(percent(15, 15, 0, 0) > 30);
});

test('the estimate of a usual run is about right at every step', () => {
  const total = TYPICAL.reduce((all, one) => all + one);
  for (const { step, inStep, elapsed } of play(TYPICAL)) {
    const truth = total - elapsed;
    const estimate = left(15, step, inStep, elapsed);
    assert.ok(estimate < 600);
    assert.ok(estimate >= 0.6 * truth - 1 && estimate <= 1.6 * truth + 55, `${step} ${inStep}: ${estimate} of ${truth}`);
  }
});

test('a run that is twice as slow as usual has more time left', () => {
  assert.ok(left(15, 9, 0, 80) > 1.3 * left(15, 9, 0, 40));
  assert.ok(left(15, 9, 0, 1e6) <= 3.01 * left(15, 9, 0, 40)); // but at most three times the usual
});

test('there is always something left until the end', () => {
  for (const { step, inStep, elapsed } of play(RUNS.stuck)) assert.ok(left(15, step, inStep, elapsed) > 0);
});

test('late is what nine of ten are not', () => {
  assert.equal(isLate(15, 15, 180, 230), false);
  assert.equal(isLate(15, 15, 336, 390), true);
  assert.equal(isLate(15, 3, 10, 20), false);
  assert.equal(isLate(15, 3, 60, 70), true);
});

test('of a run of unknown length the bar counts steps, and no time is given', () => {
  assert.ok(Math.abs(percent(10, 5, 0, 0) - 100 * 5 / 11) < 1e-9);
  assert.ok(Number.isNaN(left(10, 5, 0, 0)));
  assert.ok(percent(10, 5, 1e6, 0) < percent(10, 6, 0, 0));
  assert.ok(percent(1e9, 3, 0, 0) >= 0); // and pace() makes no list of that length
});

test('the short run has the first steps of the long one', () => {
  assert.ok(left(5, 1, 0, 3) < 20);
  assert.ok(percent(5, 5, 0, 5) < 60);
});

test('an estimate goes down with the clock and rises by a quarter or not at all', () => {
  assert.equal(smooth(undefined, 100, 1), 100);
  assert.equal(smooth(NaN, 100, 1), 100);
  assert.equal(smooth(100, 100, 1), 99);
  assert.equal(smooth(100, 120, 0), 100);
  assert.ok(smooth(100, 200, 1) > 99);
  let estimate = 100;
  for (let second = 0; second < 15; second += 1) estimate = smooth(estimate, 40 - second, 1);
  assert.ok(estimate > 40 - 14 && estimate < 60, estimate); // half of the way down in 15 s
});

test('minutes are round, and rounded up', () => {
  const cases = [[0, 0], [30, 0], [49, 0], [50, 1], [60, 1], [61, 2], [121, 3], [181, 5], [301, 10], [600, 10]];
  for (const [seconds, minutes] of cases) assert.equal(roundMinutes(seconds), minutes, seconds);
});
