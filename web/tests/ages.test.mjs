// How old things are: the server's ages, the visitor's clock, and differences between the robot's times.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepAge, timesAfter, withAges } from '../src/ages.js';
import { World, connected } from './world.mjs';

const NOW = 1_760_000_000_000;
/** Return the robot's time *seconds* into its run, in a zone far from everybody's. */
const stamp = (seconds) => new Date(Date.parse('2001-02-03T04:00:00Z') + seconds * 1000).toISOString().slice(0, -1);
const ofSnapshot = (s, now) => timesAfter({ type: 'reset', snapshot: s }, s, null, undefined, now);
const ofSync = (s, ages, now, known) => timesAfter({ type: 'sync', snapshot: null, recovered: true, ...ages }, s, s, known, now);
const ofUpdate = (s, now, before, known) => timesAfter({ type: 'progress_update' }, s, before, known, now);
const snapshot = (etapa, seconds, more) => ({
  epoch: 'e1', etapa_atual: etapa, timestamp_inicio: stamp(0), timestamp_atualizacao: stamp(seconds), ...more,
});
/** Return age, duration and age of the step, in seconds. */
const told = (s, times, now) => {
  const aged = withAges(s, times, now);
  return [aged.idade_ms, aged.duracao_ms, stepAge(aged)].map((ms) => ms / 1000);
};

test('a12 a snapshot is as old as the server says, and ages by the visitor\'s clock', () => {
  const s = snapshot(8, 36, { idade_ms: 25_000, duracao_ms: 61_000 });
  const times = ofSnapshot(s, NOW);
  assert.deepEqual(told(s, times, NOW), [25, 61, 25]);
  assert.deepEqual(told(s, times, NOW + 9000), [34, 70, 34]);
});

test('a12 a server that tells no ages is believed to have heard the robot just now', () => {
  const strange = [undefined, null, -1, NaN, 'x', {}, []];
  for (const value of strange) {
    const s = snapshot(8, 36, { idade_ms: value, duracao_ms: value });
    assert.deepEqual(told(s, ofSnapshot(s, NOW), NOW), [0, 36, 0]);
    const lost = { ...s, timestamp_inicio: value };
    assert.deepEqual(told(lost, ofSnapshot(lost, NOW), NOW), [0, 0, 0]);
  }
});

test('a12 updates that a page had missed are as old as the robot\'s own times tell', () => {
  const blank = { epoch: 'e1', etapa_atual: 0 };
  let known = ofSync(blank, { idade_ms: 20_000, duracao_ms: 60_000 }, NOW);
  let before = blank;
  for (const [etapa, seconds] of [[0, 0], [5, 8], [5, 10], [8, 40]]) {
    const s = snapshot(etapa, seconds);
    known = ofUpdate(s, NOW + 50, before, known);
    before = s;
    assert.equal(told(s, known, NOW)[0], 60 - seconds);
  }
  assert.deepEqual(told(before, known, NOW), [20, 60, 20]);
  const live = snapshot(8, 41);
  known = ofUpdate(live, NOW + 30_000, before, known);
  assert.deepEqual(told(live, known, NOW + 30_000), [0, 90, 50]);
});

test('a12 a step is as old as its first report', () => {
  const first = snapshot(8, 10, { idade_ms: 0, duracao_ms: 10_000 });
  let known = ofSnapshot(first, NOW);
  const second = snapshot(8.5, 15);
  known = ofUpdate(second, NOW + 5000, first, known);
  assert.deepEqual(told(second, known, NOW + 7000), [2, 17, 7]);
  const third = snapshot(9, 20);
  known = ofUpdate(third, NOW + 10_000, second, known);
  assert.deepEqual(told(third, known, NOW + 10_000), [0, 20, 0]);
  assert.deepEqual(told(third, ofUpdate(third, NOW + 10_000, undefined, undefined), NOW + 10_000), [0, 20, 0]);
});

test('a12 what the visitor\'s clock does while the page is away is put right by the next sync', () => {
  const s = snapshot(8, 36, { idade_ms: 25_000, duracao_ms: 61_000 });
  const known = ofSnapshot(s, NOW - 3_600_000);
  const times = ofSync(s, { idade_ms: 27_000, duracao_ms: 63_000 }, NOW, known);
  assert.deepEqual(told(s, times, NOW), [27, 63, 27]);
});

test('a12 a robot\'s clock that jumps moves nothing out of the run', () => {
  const s = snapshot(8, 36, { idade_ms: 0, duracao_ms: 36_000 });
  for (const jump of [-7200, 7200]) {
    const known = ofSync(s, { idade_ms: 0, duracao_ms: 36_000 }, NOW, ofSnapshot(s, NOW));
    const moved = snapshot(9, 36 + jump);
    const [age, duration] = told(moved, ofUpdate(moved, NOW, s, known), NOW);
    assert.ok(age >= 0 && age <= duration && duration === 36, `${age} ${duration}`);
  }
});

for (const transport of ['websocket', 'sse', 'polling']) {
  for (const replay of [false, true]) {
    test(`a12 a client over ${transport} knows how old the run is, ${replay ? 'with' : 'without'} a replay`, async () => {
      const world = new World();
      world.server.publish({ timestamp: stamp(0) });
      await world.clock.run(30_000);
      world.server.publish({ timestamp: stamp(30) });
      await world.clock.run(25_000);
      const { client } = await connected(world, { transports: [transport], replay });
      const { idade_ms, duracao_ms } = client.snapshot();
      assert.ok(Math.abs(idade_ms - 25_000) < 1000 && Math.abs(duracao_ms - 55_000) < 1000, `${idade_ms} ${duracao_ms}`);
      await world.clock.run(5000);
      assert.equal(client.snapshot().duracao_ms, duracao_ms + 5000);
      client.disconnect();
    });
  }
}
