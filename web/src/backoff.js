// When to try again. Pure: the caller passes the randomness.

const SHORTEST_MS = 250; // for the second and later failures; after the first one the wait may be close to nothing

/**
 * Return the ms to wait before the next attempt: full jitter under a ceiling that doubles and is capped.
 *
 * The cap comes first, then the jitter, else all waiting pages end up on the cap together. At the cap the wait is at
 * least a quarter of it, so that in ten minutes a page makes less than 60 attempts on a dead server.
 *
 * @param {number} failures failures so far, 0 before the first.
 * @param {number} base ceiling of the first wait, ms.
 * @param {number} cap the longest wait, ms.
 * @param {number} random in [0, 1).
 * @param {number} [spread] minimum of the ceiling, ms: many pages may have failed at the same moment.
 */
export function backoff(failures, base, cap, random, spread = 0) {
  const ceiling = Math.min(cap, Math.max(spread, base * 2 ** failures));
  const shortest = failures ? SHORTEST_MS : 0;
  const floor = ceiling === cap ? cap / 4 : shortest;
  return floor + random * (ceiling - floor);
}
