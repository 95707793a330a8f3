// Timers by key: setting one replaces the timer of the same key, and all that run can be counted and stopped.

/**
 * @param {(work: () => void, ms: number) => any} setTimer the browser's setTimeout, or the page's own.
 * @param {(timer: any) => void} clearTimer ends a timer.
 */
export const createTimers = (setTimer, clearTimer) => {
  const running = new Map();
  const stop = (key) => {
    clearTimer(running.get(key));
    running.delete(key);
  };
  return {
    _running: running,
    _stop: stop,
    _stopAll: () => running.forEach((timer, key) => stop(key)),

    /** Run *work* in *ms*; *key*, any value, is what stops or replaces it. */
    _after(key, ms, work) {
      stop(key);
      running.set(key, setTimer(() => {
        running.delete(key);
        work();
      }, ms));
    },
  };
};
