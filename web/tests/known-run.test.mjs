import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BY_SNAPSHOT, BY_UPDATES, KnownRun } from '../src/known-run.js';

const update = (seq, more) => ({ type: 'progress_update', epoch: 'a', seq, etapa: 1, timestamp: 't', mensagem: '', ...more });
const snapshot = (epoch, seq) => ({ type: 'sync', epoch, seq, recovered: false, snapshot: { epoch, seq } });

test('the cursor is where the run is; before that it asks for everything, or for the whole snapshot', () => {
  const run = new KnownRun();
  assert.deepEqual([run._cursor(true), run._cursor(false), run._isFinal], ['0', '', false]);
  assert.equal(run._accept(update(1)), 'next');
  assert.deepEqual([run._cursor(true), run._cursor(false)], ['a:1', 'a:1']);
});

test('an update without an epoch, as another program publishes it, gives no cursor', () => {
  const run = new KnownRun();
  run._accept(update(undefined, { epoch: undefined }));
  assert.equal(run._cursor(false), '');
});

test('a gap is filled by updates, and by the whole snapshot where it is met again at the same cursor', () => {
  const run = new KnownRun();
  run._accept(update(1));
  assert.equal(run._accept(update(3)), 'gap');
  assert.deepEqual([run._fillGapBy(false), run._fillGapBy(false)], [BY_UPDATES, BY_SNAPSHOT]);
  run._accept(update(2));
  assert.equal(run._fillGapBy(false), BY_UPDATES);
});

test('once holes are allowed, a hole in this run is no gap, one in the next run is', () => {
  const run = new KnownRun();
  run._accept(snapshot('a', 5));
  run._allowHoles();
  assert.equal(run._accept(update(9)), 'next');
  run._accept(snapshot('b', 1));
  assert.equal(run._accept(update(3, { epoch: 'b' })), 'gap');
});

test('a second connection may take over once it brings what the page has seen', () => {
  const run = new KnownRun();
  assert.equal(run._isAheadOf(update(1)), false);
  run._accept(snapshot('a', 5));
  assert.equal(run._isAheadOf(update(4)), true);
  assert.equal(run._isAheadOf(update(5)), false);
  assert.equal(run._isAheadOf(update(1, { epoch: 'b' })), true);
  assert.equal(run._isAheadOf(snapshot('b', 1)), false);
});
