// Timers by key: setting a timer replaces the one with the same key, and all running ones can be counted and stopped.

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

    /** Run *work* in *ms*; *key*, any value, identifies the timer. */
    _after(key, ms, work) {
      stop(key);
      running.set(key, setTimer(() => {
        running.delete(key);
        work();
      }, ms));
    },
  };
};
