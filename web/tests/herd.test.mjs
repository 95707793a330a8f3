// A thousand pages at once: how their reconnections to a restarted server are spread.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { backoff } from '../src/backoff.js';
import { World } from './world.mjs';

const PAGES = 1000;

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');

/** Return the largest share of *times* (ms) that lies within any one second. */
function peak(times) {
  const sorted = [...times].sort((a, b) => a - b);
  let most = 0;
  for (let first = 0, last = 0; last < sorted.length; last++) {
    while (sorted[last] - sorted[first] >= 1000) first++;
    most = Math.max(most, last - first + 1);
  }
  return most / sorted.length;
}

async function crowd(seed, options) {
  const world = new World(seed);
  const clients = Array.from({ length: PAGES }, () => world.client(options).connect());
  await world.clock.run(10000);
  assert.ok(clients.every((client) => client.state === 'open'));
  return { world, clients };
}

for (const [code, downtime] of [[1012, 0], [1012, 2000], [1006, 2000], [1006, 30000], [1006, 600000]]) {
  test(`${PAGES} pages after a restart of ${downtime / 1000} s (${code}) come back spread: no second has more than a quarter`, async () => {
    const { world, clients } = await crowd(downtime + code, {});
    const arrived = new Map();
    for (const client of clients) {
      client.addEventListener('rpa:connection', ({ detail }) => {
        if (detail.state === 'open' && !arrived.has(client)) arrived.set(client, world.clock.time);
      });
    }
    world.stop(code);
    await world.clock.run(downtime);
    const begin = world.clock.time;
    world.start();
    await world.clock.run(60000);
    assert.equal(arrived.size, PAGES);
    const times = [...arrived.values()].map((time) => time - begin);
    const share = peak(times);
    const p95 = times.sort((a, b) => a - b)[PAGES * 0.95];
    console.log(`# ${code}, ${downtime} ms down: largest second ${(share * 100).toFixed(1)} %, p95 ${p95.toFixed(0)} ms`);
    assert.ok(share <= 0.25, `${share}`);
    if (downtime && downtime <= 2000) assert.ok(p95 <= 5000, `${p95}`);
    clients.forEach((client) => client.disconnect());
    assert.equal(world.open, 0);
  });
}

test(`ten minutes of a dead server cost none of ${PAGES} pages more than 60 tries, and the first retry is jittered`, async () => {
  const { world, clients } = await crowd(5, {});
  const before = clients.map((client) => client.stats().connects);
  const first = clients.map(() => Infinity);
  clients.forEach((client, i) => client.addEventListener('rpa:connection', ({ detail }) => {
    if (detail.state === 'connecting') first[i] = Math.min(first[i], world.clock.time);
  }));
  const since = world.clock.time;
  world.stop();
  await world.clock.run(600000);
  const tries = clients.map((client, i) => client.stats().connects - before[i]);
  console.log(`# tries in ten minutes: ${Math.min(...tries)} to ${Math.max(...tries)}`);
  assert.ok(Math.max(...tries) <= 60, `${Math.max(...tries)}`);
  assert.equal(world.attempts.length - PAGES, tries.reduce((sum, one) => sum + one, 0), 'a try is one request');
  const waits = first.map((time) => time - since);
  assert.ok(peak(waits) <= 0.25 && Math.min(...waits) < 300 && Math.max(...waits) > 5000);
  clients.forEach((client) => client.disconnect());
});

test('docs/api.rst says how long pages wait', () => {
  const [, section] = /Coming back\n-+\n(.*?)\n-{5}/s.exec(read('../docs/api.rst'));
  const words = section.replace(/\s+/g, ' ');
  const [, spread] = /SPREAD = (\d+)/.exec(read('src/retry.js'));
  const ceilings = [0, 1, 2, 3, 4, 5].map((n) => Math.round(backoff(n, 500, 30000, 1, +spread)));
  assert.deepEqual(ceilings, [6700, 6700, 6700, 6700, 8000, 16000]);
  assert.deepEqual([backoff(6, 500, 30000, 0, +spread), backoff(6, 500, 30000, 1, +spread)], [7500, 30000]);
  assert.ok(words.includes('a random part of 6.7 s, after the fifth failure of 8 s, then of 16 s, and from then on between 7.5 and 30 s'));
  assert.ok(words.includes('95 % of 1,000 clients again within 5 s, never more than a quarter of them in one second'));
});
