// Which transport to use: a ladder of rungs, the best one first. Pure.
//
// It is left downwards after two failures without a word received, or four where words came but the connection did not
// last, and at once where the next one is better. A server that is gone altogether is no reason to stay below: from there
// it goes back to the rung that worked last, and each time down a different rung is tried.

/**
 * Make a ladder.
 *
 * @param {string[]} list the rungs; a blocked one is taken out.
 * @param {string} [begin] the rung that worked last.
 */
export const ladder = (list, begin) => {
  let failures = 0;
  let home; // unknown until one has lasted
  let deep = Math.max(0, list.indexOf(begin)); // where it last went down to
  const self = {
    _at: deep,

    /** The rung *at* works: the connection has lasted. */
    _stay(at) {
      self._at = home = deep = at;
      failures = 0;
    },

    /**
     * Take in why a connection ended; tell whether a rung is left.
     *
     * @param {object} error see RPAError.
     * @param {boolean} [delivered] it had received something.
     */
    _failed({ code, _next }, delivered) {
      const at = self._at;
      const isAway = home >= 0 && at !== home && code === 'network' && !delivered;
      failures += delivered ? 0.5 : 1;
      if (code === 'csp_blocked') {
        list.splice(at, 1);
        home = failures = 0;
        self._at = deep = list[at] ? at : 0;
      } else if (_next || isAway || failures >= 2) {
        failures = 0;
        self._at = isAway || (at !== home && !list[at + 1]) ? home || 0 : deep = list[deep + 1] ? deep + 1 : 0;
      }
      return !!list[0];
    },
  };
  return self;
};
