// When to try again. Pure: the caller gives randomness.

const LEAST = 250;

/**
 * Return the ms to wait before the next try: full jitter under a ceiling that doubles and is capped.
 *
 * The cap comes first, then the jitter, else all waiting pages end up on the cap together. At the cap a quarter of it
 * is the least, so that ten minutes of a dead server cost a page less than 60 tries.
 *
 * @param {number} n failures so far, the first is 0.
 * @param {number} base ceiling of the first wait, ms.
 * @param {number} cap the longest wait, ms.
 * @param {number} random in [0, 1).
 * @param {number} [spread] the ceiling is at least this, ms: many pages may have failed at one moment.
 */
export function backoff(n, base, cap, random, spread = 0) {
  const top = Math.min(cap, Math.max(spread, base * 2 ** n));
  const low = top === cap ? cap / 4 : n && LEAST;
  return low + random * (top - low);
}
