// Timers by key: setting one replaces it, and none can be forgotten.

/**
 * @param {(work: () => void, ms: number) => any} later sets a timer.
 * @param {(timer: any) => void} cancel ends it.
 */
export const timers = (later, cancel) => {
  const running = new Map();
  const stop = (key) => {
    cancel(running.get(key));
    running.delete(key);
  };
  return {
    _running: running,
    _stop: stop,
    /** Run *work* in *ms*; its *key*, any value, is what stops it. */
    _after(key, ms, work = key) {
      stop(key);
      running.set(key, later(() => {
        running.delete(key);
        work();
      }, ms));
    },
  };
};
