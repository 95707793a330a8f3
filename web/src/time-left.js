// How far a run is and how long it will take, from what its steps typically take.
//
// Pure: seconds come in, numbers go out. A bar by step number would mislead: the last of the fifteen steps takes more
// than half of the time. So steps are weighted by their typical length, and the bar moves within a step by the clock
// but never past the step's end. A step that takes much longer than usual is late; no estimate is shown then
// (run-model.js).

/** Median seconds of each step of recorded runs; index 0 is the robot's start. */
export const TYPICAL = [3, 1, 1, 0.1, 0.1, 8, 0.1, 6, 20, 4, 0.1, 0.1, 0.2, 8, 0.1, 80];

const KNOWN_LENGTHS = new Set([15, 5]); // the robot's short run consists of the first five screens of its long one
const EQUAL_STEP_S = 40; // assumed for each step of a run of unknown length
const MOST_STEPS = 999; // a larger number of steps, which only a faulty robot gives, is cut to this
const BLINK_S = 1; // added to every step's weight, so that each step moves the bar
const STEP_END = 0.95; // share of a step that time alone can fill
const PRIOR_S = 20; // seconds at the typical pace that are added to the run's own, which says little at first
const SLOWEST = 3; // limits of the factor by which a run's own pace stretches the estimate
const FASTEST = 0.5;
const HALF_LIFE_S = 15;
const PEOPLES_MINUTES = [1, 2, 3, 5, 10];

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/**
 * Estimate how far a run is.
 *
 * @param {number} total number of steps. Only the robot's own two lengths are known: in any other run all steps have
 *   the same weight, and no time is given.
 * @param {number} step the number of the current step.
 * @param {number} inStep seconds since it began.
 * @param {number} elapsed seconds since the run began.
 * @returns {{_percent: number, _isLate: boolean, _secondsLeft: number}} percent stays below 100, since only a result
 *   makes it 100; a step is late if it takes longer than about nine of ten do; seconds left are above 0, or NaN if
 *   unknown.
 */
export function pace(total, step, inStep, elapsed) {
  const isKnown = KNOWN_LENGTHS.has(total);
  const stepCount = Math.min(total, MOST_STEPS) + 1;
  const usual = isKnown ? TYPICAL.slice(0, stepCount) : Array.from({ length: stepCount }, () => EQUAL_STEP_S);
  const weights = usual.map((seconds) => seconds + BLINK_S);
  const own = usual[step];
  const before = sum(usual.slice(0, step));
  const after = sum(usual) - before - own;
  const stretch = Math.max(FASTEST, Math.min(SLOWEST, (PRIOR_S + elapsed - inStep) / (PRIOR_S + before)));
  const done = before + step * BLINK_S + Math.min(STEP_END, inStep / weights[step]) * weights[step];
  const leftOfStep = own * 2 * own / (own * 2 + inStep); // shrinks with time, but never reaches 0
  return {
    _percent: 100 * done / sum(weights),
    _isLate: inStep > 3 * own + 20,
    _secondsLeft: isKnown ? stretch * (after + leftOfStep) : NaN,
  };
}

/**
 * Smooth an estimate: it goes down with the clock, follows news with a half-life of 15 s, and does not rise by less
 * than a quarter.
 *
 * @param {number | undefined} before the value returned *passed* seconds ago.
 * @param {number} estimate the newest one.
 */
export function smooth(before, estimate, passed) {
  const expected = before - passed;
  if (estimate > expected && estimate < expected * 1.25) return expected;
  return estimate + ((expected || estimate) - estimate) * 2 ** (-passed / HALF_LIFE_S);
}

/** Round seconds up to minutes as people say them; 0 means less than one. There are never more than ten, see pace(). */
export const roundMinutes = (seconds) => (seconds < 50 ? 0 : PEOPLES_MINUTES.find((minutes) => seconds <= minutes * 60));
