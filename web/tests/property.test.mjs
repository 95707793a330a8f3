// Random networks, random runs: whatever happens on the way, the page ends with the server's state.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Page, World, seeded } from './world.mjs';

const ROUNDS = 400;

/** Return a function for World.mangle that drops, doubles or delays a message, not a sync, with probability *rate*. */
function mangler(random, rate) {
  let delayed = [];
  return (message) => {
    if (message.type === 'sync' || random() > rate) {
      const out = [message, ...delayed];
      delayed = [];
      return out;
    }
    const what = random();
    if (what < 0.35) return [];
    if (what < 0.7) return [message, message];
    delayed.push(message);
    return [];
  };
}

/** Simulate one page through a random run on a random network; return the world, the client and what the page saw. */
async function life(seed) {
  const random = seeded(seed);
  const pick = (...choices) => choices[Math.floor(random() * choices.length)];
  const world = new World(seed);
  world.latency = 1 + random() * 300;
  world.mangle = mangler(random, pick(0, 0, 0.1, 0.3));
  Object.assign(world, { ws: pick('ok', 'ok', 'refuse', 'hang', 'mute', 'die', 'csp'), sse: pick('ok', 'ok', 'refuse', 'hang', 'mute', 'die') });
  world.server.sparse = random() < 0.1;
  const client = world.client({ replay: random() < 0.7 });
  const page = new Page(client);
  let most = 0;
  let lowest = true;
  let seq = 0;
  let epoch;
  page.progress = (update) => {
    page.seqs.push([update.epoch, update.seq]);
    if (update.epoch === epoch && update.seq <= seq) lowest = false;
    [epoch, seq] = [update.epoch, update.seq];
    most = Math.max(most, client.stats().live);
  };
  client.connect();
  const end = 20 + Math.floor(random() * 40);
  for (let n = 0; n < end; n++) {
    await world.clock.run(random() * 5000);
    const what = random();
    if (what < 0.6) world.server.publish();
    else if (what < 0.68) world.cut(pick(1006, 1012, 1013, 4008));
    else if (what < 0.74) world.stop(pick(1006, 1012));
    else if (what < 0.82) world.start();
    else if (what < 0.85) for (const socket of world.sockets) socket.frozen = true;
    else if (what < 0.88) world.clock.sleep(random() * 200000);
    else if (what < 0.9) client.reconnect();
    else if (what < 0.92 && !world.server.sparse) world.server.begin(`run${n}`);
    else if (what < 0.94) world.server.history = 3;
    else world.ws = pick('ok', 'refuse', 'hang', 'mute', 'die');
    const { live, probing } = client.stats();
    assert.ok(live <= 1 && probing <= 1);
    assert.ok(world.open + world.waiting.size <= 2, 'a live one and one that is tried, no more');
  }
  Object.assign(world, { ws: pick('ok', 'refuse'), sse: pick('ok', 'refuse'), mangle: (message) => [message] });
  world.server.finish();
  world.start();
  await world.clock.run(400000);
  return { world, client, page, rising: lowest, most };
}

for (let block = 0; block < 4; block++) {
  test(`random lives ${block + 1} of 4: the truth at the end, each update once, in order, one live connection, nothing left`, async () => {
    for (let seed = 1 + block * ROUNDS / 4; seed <= (block + 1) * ROUNDS / 4; seed++) {
      const { world, client, page, rising, most } = await life(seed);
      const label = `seed ${seed}: ${JSON.stringify(client.stats())} ${client.state}`;
      const truth = world.server.snapshot();
      const state = client.snapshot();
      assert.ok(state, label);
      assert.deepEqual([state.epoch, state.seq, state.final, state.estado], [truth.epoch, truth.seq, true, 'sucesso'], label);
      // After a gap that could not be filled, the client accepts gaps in that run, and so may miss an update.
      if (!client.stats().resets) assert.equal(state.mensagem, truth.mensagem, label);
      assert.ok(rising, `${label} ${page.seqs.join(' ')}`);
      assert.ok(most <= 1, label);
      assert.equal(page.events.filter((type) => type === 'done').length, 1, label);
      assert.equal(client.state, 'closed', label);
      assert.equal(client.stats().timers, 0, label);
      assert.equal(world.open + world.waiting.size, 0, label);
    }
  });
}
