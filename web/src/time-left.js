// How far a run is and how long it will take, from what its steps typically take.
//
// Pure: seconds come in, numbers go out. A bar by step number would lie: the last of the fifteen steps takes more
// than half of the time. So steps count by their typical length, the bar moves within a step by the clock but never
// over the step's end, and past what is usual there is no estimate at all, only the word that it is late.

/** Median seconds of each step of recorded runs; index 0 is the robot's start. */
export const TYPICAL = [3, 1, 1, 0.1, 0.1, 8, 0.1, 6, 20, 4, 0.1, 0.1, 0.2, 8, 0.1, 80];

const BLINK_S = 1; // added to every step's weight, so that each one moves the bar
const PRIOR_S = 20; // of typical pace, believed before the run shows its own
const HALF_LIFE_S = 15;

const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

/**
 * Tell where a run is.
 *
 * @param {number} total number of steps. The robot's short run is the first five screens of its long one; of a run of
 *   any other length nobody knows: its steps count alike, and nothing is told of its time.
 * @param {number} at the number of the step under way.
 * @param {number} inStep seconds since it began.
 * @param {number} elapsed seconds since the run began.
 * @returns {[number, boolean, number]} percent, below 100 (only a result makes it that); whether the step takes longer than
 *   nine of ten do; seconds left, NaN where nobody knows: the steps to come as usual, stretched by the pace of this run
 *   so far, and of the one under way less the longer it takes, never nothing.
 */
export function pace(total, at, inStep, elapsed) {
  const isKnown = total === 15 || total === 5;
  const usual = isKnown ? TYPICAL.slice(0, total + 1) : Array.from({ length: Math.min(total, 999) + 1 }, () => 40);
  const weights = usual.map((one) => one + BLINK_S);
  const own = usual[at];
  const before = sum(usual.slice(0, at));
  const stretch = Math.max(0.5, Math.min(3, (PRIOR_S + elapsed - inStep) / (PRIOR_S + before)));
  return [
    100 * (before + at + Math.min(0.95, inStep / weights[at]) * weights[at]) / sum(weights),
    inStep > 3 * own + 20,
    isKnown ? stretch * (sum(usual) - before - own + own * 2 * own / (own * 2 + inStep)) : NaN,
  ];
}

/**
 * Keep an estimate calm: it goes down with the clock, follows news with a half-life of 15 s, and does not rise by
 * less than a quarter.
 *
 * @param {number | undefined} held what this returned *passed* seconds ago.
 * @param {number} raw the newest estimate.
 */
export function smooth(held, raw, passed) {
  const expected = held - passed;
  if (raw > expected && raw < expected * 1.25) return expected;
  return raw + ((expected || raw) - raw) * 2 ** (-passed / HALF_LIFE_S);
}

/** Round seconds up to minutes that people say; 0 stands for less than one. More than ten are never left, see pace(). */
export const anchor = (seconds) => (seconds < 50 ? 0 : [1, 2, 3, 5, 10].find((one) => seconds <= one * 60));
