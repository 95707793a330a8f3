import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPAError } from '../src/errors.js';
import { ladder } from '../src/transport-choice.js';
import { seeded } from './world.mjs';

const ALL = ['websocket', 'sse', 'polling', 'poll'];
const network = new RPAError('network');
const blocked = new RPAError('csp_blocked');
const next = new RPAError('connect_timeout', '', { _next: true });

/** Let a new ladder fail with each of *failures*, [error, delivered]; return where it stood before and after each. */
function walk(steps, list = [...ALL], begin = undefined) {
  const rungs = ladder(list, begin);
  return [rungs._at, ...steps.map(([error, delivered]) => {
    if (error === null) rungs._stay(delivered);
    else rungs._failed(error, delivered);
    return rungs._at;
  })];
}

test('two failures without a word lower the rung, one by one down to the last', () => {
  assert.deepEqual(walk(Array(8).fill([network])), [0, 0, 1, 1, 2, 2, 3, 3, 0]);
});

test('four short lives lower it too, and losses after a good time do not', () => {
  assert.deepEqual(walk(Array(4).fill([network, true])), [0, 0, 0, 0, 1]);
  const loss = [[null, 0], [network, true]];
  assert.deepEqual(new Set(walk([...loss, ...loss, ...loss, ...loss, ...loss])), new Set([0]));
});

test('a short life and one failure are not yet two failures', () => {
  assert.deepEqual(walk([[network, true], [network], [network]]), [0, 0, 0, 1]);
});

test('a rung that hangs is left at once', () => {
  assert.deepEqual(walk([[next], [next], [next]]), [0, 1, 2, 3]);
});

test('from a lower rung a server that is gone leads back to the one that worked, and each time down another is tried', () => {
  const down = [[network], [network]];
  assert.deepEqual(walk([[null, 0], ...down, [network], ...down, [network], ...down, [network]]), [0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0]);
});

test('what worked last is where it begins', () => {
  assert.deepEqual(walk([], [...ALL], 'polling'), [2]);
  assert.deepEqual(walk([], [...ALL], 'smoke'), [0]);
});

test('a blocked rung is gone for good, and with the last one all is over', () => {
  const list = ['websocket', 'sse'];
  const rungs = ladder(list);
  assert.equal(rungs._failed(blocked), true);
  assert.deepEqual([list, rungs._at], [['sse'], 0]);
  assert.equal(rungs._failed(blocked), false);
});

test('the last rung blocked leaves those above it', () => {
  const list = ['websocket', 'sse'];
  const rungs = ladder(list, 'sse');
  assert.equal(rungs._failed(blocked), true);
  assert.deepEqual([list, rungs._at], [['websocket'], 0]);
  rungs._failed(network);
  assert.equal(rungs._at, 0);
});

test('after a blocked rung the next one has its full chances, and those below it are tried in turn', () => {
  assert.deepEqual(walk([[network], [blocked], [network], [network], [network], [network]], ['websocket', 'sse', 'polling']), [0, 0, 0, 0, 1, 0, 0]);
});

test('a rung that works has its full chances again', () => {
  assert.deepEqual(walk([[network], [null, 0], [network], [network]]), [0, 0, 0, 0, 1]);
});

test('whatever happens it stands on a rung, and every rung that is left is reached', () => {
  const random = seeded(7);
  for (let round = 0; round < 200; round++) {
    const list = ALL.slice(0, 1 + Math.floor(random() * 4));
    const rungs = ladder(list, ALL[Math.floor(random() * 6)]);
    for (let n = 0; n < 20; n++) {
      if (random() < 0.2) rungs._stay(rungs._at);
      else rungs._failed([network, next, new RPAError('protocol')][Math.floor(random() * 3)], random() < 0.5);
      assert.ok(list[rungs._at], `${rungs._at} of ${list}`);
    }
    const reached = new Set();
    for (let n = 0; n < 40; n++) {
      rungs._failed(random() < 0.5 ? network : new RPAError('protocol'));
      reached.add(rungs._at);
    }
    assert.equal(reached.size, list.length);
  }
});
