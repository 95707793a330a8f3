import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTimers } from '../src/timers.js';
import { Clock } from './world.mjs';

test('setting a timer again replaces it; a stopped one never runs; what has run is not counted', async () => {
  const clock = new Clock();
  const ran = [];
  const { _after: after, _stop: stop, _running: running } = createTimers(clock.setTimeout, clock.clearTimeout);
  const work = () => ran.push('work');
  after('work', 100, work);
  after('work', 200, work);
  after('other', 100, () => ran.push('other'));
  after('stopped', 100, () => ran.push('stopped'));
  stop('stopped');
  stop('unknown');
  assert.equal(running.size, 2);
  await clock.run(150);
  assert.deepEqual(ran, ['other']);
  await clock.run(1000);
  assert.deepEqual(ran, ['other', 'work']);
  assert.equal(running.size, 0);
  assert.equal(clock.timers.size, 0);
});

test('work may set its own timer again', async () => {
  const clock = new Clock();
  let count = 0;
  const { _after: after, _running: running } = createTimers(clock.setTimeout, clock.clearTimeout);
  const tick = () => ++count < 3 && after('tick', 10, tick);
  after('tick', 10, tick);
  await clock.run(1000);
  assert.equal(count, 3);
  assert.equal(running.size, 0);
});
