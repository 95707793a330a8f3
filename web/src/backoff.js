// How long to wait before another attempt. Pure: the caller passes the random number.

const SHORTEST_MS = 250; // shortest wait after the second and later failures; after the first one it may be close to 0

/**
 * Return the ms to wait before the next attempt: full jitter under a ceiling that doubles and is capped.
 *
 * The cap comes first, then the jitter, else all waiting pages end up on the cap together. At the cap the wait is at
 * least a quarter of it, which bounds the attempts on a dead server: at most 60 in ten minutes (tests/herd.test.mjs).
 *
 * @param {number} failures failures in a row before the latest one: 0 for the first wait.
 * @param {number} base ceiling of the first wait, ms.
 * @param {number} cap the longest wait, ms.
 * @param {number} random in [0, 1).
 * @param {number} [spread] minimum of the ceiling, ms (default 0): spreads pages that failed at the same moment.
 */
export function backoff(failures, base, cap, random, spread = 0) {
  const ceiling = Math.min(cap, Math.max(spread, base * 2 ** failures));
  const shortest = failures ? SHORTEST_MS : 0;
  const floor = ceiling === cap ? cap / 4 : shortest;
  return floor + random * (ceiling - floor);
}
