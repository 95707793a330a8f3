// Which transport to use next, from a list whose first entry is the best. Pure: it opens nothing and reads no clock.
//
// The client moves down the list after two failures without any data, or after four short connections that did deliver
// data, and at once where an error says that another transport is likelier to work. A server that is gone altogether is
// no reason to stay on a worse transport: from there the client returns to the one that lasted before, and each time it
// moves down again it tries another one.

const FAILURES_TO_MOVE = 2;
const SHORT_CONNECTION = 0.5; // a short connection is half a failure: it did deliver data

export class TransportChoice {
  /**
   * @param {string[]} transports names, the best one first; a blocked one is removed from this list.
   * @param {string} [lastGood] the transport that worked on this page before.
   */
  constructor(transports, lastGood) {
    this._transports = transports;
    this._index = Math.max(0, transports.indexOf(lastGood)); // index of the transport in use
    this._home = undefined; // index of the transport whose connection lasted; undefined until one has
    this._lowest = this._index; // the lowest transport (highest index) tried since then
    this._failures = 0;
  }

  get _name() {
    return this._transports[this._index];
  }

  get _hasNext() {
    return this._index + 1 < this._transports.length;
  }

  /** A connection over the transport at *index* delivers data: make it the one in use. */
  _use(index) {
    this._index = index;
  }

  /** The connection over the transport at *index* has lasted: it is the one to return to. */
  _lasted(index) {
    this._index = this._home = this._lowest = index;
    this._failures = 0;
  }

  /**
   * Choose again after a connection has ended.
   *
   * @param {object} error see RPAError.
   * @param {boolean} [hasDelivered] whether the connection delivered any data.
   * @returns {boolean} whether any transport is left.
   */
  _failed(error, hasDelivered) {
    const isServerGone = error.code === 'network' && !hasDelivered;
    const isAwayFromHome = this._home !== undefined && this._index !== this._home;
    this._failures += hasDelivered ? SHORT_CONNECTION : 1;
    if (error.code === 'csp_blocked') this._remove();
    else if (isServerGone && isAwayFromHome) this._goHome();
    else if (error._tryNextTransport || this._failures >= FAILURES_TO_MOVE) this._moveDown();
    return this._transports.length > 0;
  }

  /** Remove the transport in use, since the page's policy forbids it for good. */
  _remove() {
    this._transports.splice(this._index, 1);
    if (!this._name) this._index = 0;
    this._lowest = this._index;
    this._home = 0;
    this._failures = 0;
  }

  _goHome() {
    this._index = this._home ?? 0;
    this._failures = 0;
  }

  _moveDown() {
    if (this._index !== this._home && !this._hasNext) {
      this._goHome();
      return;
    }
    this._lowest = this._lowest + 1 < this._transports.length ? this._lowest + 1 : 0;
    this._index = this._lowest;
    this._failures = 0;
  }
}
