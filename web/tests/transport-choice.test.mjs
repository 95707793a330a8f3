import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RPAError } from '../src/errors.js';
import { TransportChoice } from '../src/transport-choice.js';
import { seeded } from './world.mjs';

const ALL = ['websocket', 'sse', 'polling', 'poll'];
const network = new RPAError('network');
const blocked = new RPAError('csp_blocked');
const next = new RPAError('connect_timeout', '', { _tryNextTransport: true });

/**
 * Apply *steps* to a new choice: [error, hasDelivered] is a failure, [null, index] a transport that lasts.
 *
 * Return the choice's index at the beginning and after each step.
 */
function walk(steps, list = [...ALL], begin = undefined) {
  const choice = new TransportChoice(list, begin);
  return [choice._index, ...steps.map(([error, delivered]) => {
    if (error === null) choice._lasted(delivered);
    else choice._failed(error, delivered);
    return choice._index;
  })];
}

test('two failures without a word move down the list, one by one to the last', () => {
  assert.deepEqual(walk(Array(8).fill([network])), [0, 0, 1, 1, 2, 2, 3, 3, 0]);
});

test('four short connections move down, too, and losses after a good time do not', () => {
  assert.deepEqual(walk(Array(4).fill([network, true])), [0, 0, 0, 0, 1]);
  const loss = [[null, 0], [network, true]];
  assert.deepEqual(new Set(walk([...loss, ...loss, ...loss, ...loss, ...loss])), new Set([0]));
});

test('a short connection and one failure are not yet two failures', () => {
  assert.deepEqual(walk([[network, true], [network], [network]]), [0, 0, 0, 1]);
});

test('a transport that hangs is left at once', () => {
  assert.deepEqual(walk([[next], [next], [next]]), [0, 1, 2, 3]);
});

test('from below, a server that is gone leads back to the transport that lasted, and each time down another is tried', () => {
  const down = [[network], [network]];
  assert.deepEqual(walk([[null, 0], ...down, [network], ...down, [network], ...down, [network]]), [0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 0]);
});

test('what worked last is where it begins', () => {
  assert.deepEqual(walk([], [...ALL], 'polling'), [2]);
  assert.deepEqual(walk([], [...ALL], 'smoke'), [0]);
});

test('a blocked transport is gone for good, and with the last one all is over', () => {
  const list = ['websocket', 'sse'];
  const choice = new TransportChoice(list);
  assert.equal(choice._failed(blocked), true);
  assert.deepEqual([list, choice._index], [['sse'], 0]);
  assert.equal(choice._failed(blocked), false);
});

test('the last transport blocked leaves those above it', () => {
  const list = ['websocket', 'sse'];
  const choice = new TransportChoice(list, 'sse');
  assert.equal(choice._failed(blocked), true);
  assert.deepEqual([list, choice._index], [['websocket'], 0]);
  choice._failed(network);
  assert.equal(choice._index, 0);
});

test('after a blocked transport the next one has its full chances, and those below it are tried in turn', () => {
  assert.deepEqual(walk([[network], [blocked], [network], [network], [network], [network]], ['websocket', 'sse', 'polling']), [0, 0, 0, 0, 1, 0, 0]);
});

test('a transport that lasts has its full chances again', () => {
  assert.deepEqual(walk([[network], [null, 0], [network], [network]]), [0, 0, 0, 0, 1]);
});

test('whatever happens there is a transport, and every one that is left is reached', () => {
  const random = seeded(7);
  for (let round = 0; round < 200; round++) {
    const list = ALL.slice(0, 1 + Math.floor(random() * 4));
    const choice = new TransportChoice(list, ALL[Math.floor(random() * 6)]);
    for (let n = 0; n < 20; n++) {
      if (random() < 0.2) choice._lasted(choice._index);
      else choice._failed([network, next, new RPAError('protocol')][Math.floor(random() * 3)], random() < 0.5);
      assert.ok(list[choice._index], `${choice._index} of ${list}`);
    }
    const reached = new Set();
    for (let n = 0; n < 40; n++) {
      choice._failed(random() < 0.5 ? network : new RPAError('protocol'));
      reached.add(choice._index);
    }
    assert.equal(reached.size, list.length);
  }
});
