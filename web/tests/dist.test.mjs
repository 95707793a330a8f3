// The built script, run in a context that has some globals of a page and none of the sources.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import vm from 'node:vm';

const script = readFileSync(new URL('../dist/rpa-client.js', import.meta.url), 'utf8');
const OURS = ['RPAError', 'RPAProgressClient', 'RPAWebSocketClient'];

function page(more = {}) {
  const known = { EventTarget, Event, CustomEvent, URLSearchParams, TextDecoder, AbortController, console, setTimeout, clearTimeout };
  return vm.createContext({ ...known, ...more });
}

test('a page gets three names and no more, as a classic script', () => {
  const context = page();
  const before = Object.keys(context);
  vm.runInContext(script, context);
  assert.deepEqual(Object.keys(context).filter((name) => !before.includes(name)).sort(), OURS);
});

test('loaded twice, the first one stays', () => {
  const context = page();
  vm.runInContext(script, context);
  const first = context.RPAProgressClient;
  vm.runInContext(script, context);
  assert.equal(context.RPAProgressClient, first);
});

test('a page that has the plan\'s own script keeps it, and nothing breaks', () => {
  const context = page();
  vm.runInContext('class RPAProgressClient {}; class RPAWebSocketClient {}; const kept = RPAProgressClient;', context);
  vm.runInContext(script, context);
  assert.equal(vm.runInContext('RPAProgressClient === kept', context), true);
});

test('the server is where the script came from, in the built script too', () => {
  const sockets = [];
  const context = page({
    document: { currentScript: { src: 'https://h.test/live/static/rpa-client.js?v=1' } },
    WebSocket: class { constructor(...args) { sockets.push(args); } close() {} },
  });
  vm.runInContext(script, context);
  vm.runInContext('const client = new RPAProgressClient("a b", { replay: true }); client.connect(); delete globalThis.document;', context);
  return new Promise((go) => setImmediate(go)).then(() => {
    assert.equal(String(sockets), 'wss://h.test/live/rpa/a%20b?after=0,rpa.v1');
    vm.runInContext('client.disconnect()', context);
  });
});

test('the plan\'s class is on a WebSocket alone, with the plan\'s defaults', () => {
  const context = page();
  vm.runInContext(script, context);
  const client = vm.runInContext('new RPAWebSocketClient("s")', context);
  assert.deepEqual([...client.transports], ['websocket']);
  assert.deepEqual(
    [client.maxReconnectAttempts, client.reconnectInterval, client.heartbeatInterval, client.maxAttempts, client.minDelay],
    [5, 5000, 30000, 5, 5000]);
  assert.equal(vm.runInContext('new RPAWebSocketClient("s") instanceof RPAProgressClient', context), true);
  const chosen = vm.runInContext('new RPAWebSocketClient("s", { maxReconnectAttempts: 2, transports: ["sse"] })', context);
  assert.deepEqual([chosen.maxAttempts, [...chosen.transports]], [2, ['websocket']]);
});
