// The connections of a client: the live one, whose messages are shown, and at most one that is tried beside it (the
// probe), because a better transport may work by now or because a gap must be filled.

import { Connection, TRANSPORTS } from './connection.js';
import { TransportChoice } from './transport-choice.js';

const HURRIED = 0.4; // share of the connect timeout while nothing has worked yet and a further transport is left to try

/** Return the known names in *transports*, a list or a string with commas; polling adds poll (plain polls). */
const allowed = (transports) => {
  const names = String(transports).replace('polling', 'polling,poll').split(',');
  return names.filter((name) => TRANSPORTS[name]);
};

export class Connections {
  /** @param {Coordinator} owner see Connection. */
  constructor(owner) {
    this._owner = owner;
    this._live = null;
    this._probe = null;
    this._opened = 0; // number of connections opened
    this._hasDelivered = false; // whether any connection ever delivered data
  }

  /** Use *transports*, the best one first; begin with *lastGood* if it is one of them (it worked before a reload). */
  _choose(transports, lastGood) {
    this._choice = new TransportChoice(allowed(transports), lastGood);
  }

  /** Name of the transport in use, undefined when none is left. */
  get _transport() {
    return this._choice._name;
  }

  get _transports() {
    return this._choice._transports;
  }

  /** Close all connections and open a new live one. */
  _dial() {
    this._drop();
    const isHurried = !this._hasDelivered && this._choice._hasNext;
    this._live = this._open(this._choice._index, isHurried ? HURRIED : 1);
  }

  _drop() {
    this._live?._drop();
    this._probe?._drop();
    this._live = this._probe = null;
  }

  _open(index, shareOfTime = 1, fillsGapBy = 0) {
    this._opened += 1;
    return new Connection(this._owner, {
      _transport: this._transports[index],
      _index: index,
      _pollIndex: this._transports.indexOf('poll'),
      _silenceLimit: this._owner._client.connectTimeout * shareOfTime,
      _fillsGapBy: fillsGapBy,
    });
  }

  /** Note that *connection*, the live one, delivers data: its transport becomes the one in use. */
  _works(connection) {
    this._hasDelivered = true;
    this._choice._use(connection._index);
    this._owner._timers._stop('upgrade');
    this._upgradeLater();
  }

  /** Try a better transport in *ms*, while the working connection stays. */
  _upgradeLater(ms = this._owner._client.upgradeAfter * (0.75 + this._owner._client.random() / 2)) {
    if (this._choice._index > 0) this._owner._timers._after('upgrade', ms, () => this._tryUpgrade());
  }

  _tryUpgrade() {
    if (this._owner._client.isConnected && !this._probe) {
      // Alternates between the best and the second best transport, if both are better than the current one.
      this._probe = this._open(this._opened % Math.min(this._choice._index, 2));
    } else this._upgradeLater();
  }

  get _isFillingGap() {
    return Boolean(this._probe?._fillsGapBy);
  }

  /** Fetch what is missing over a second connection; the live one stays until the second one has caught up. */
  _fillGap(fillsGapBy) {
    this._probe?._drop();
    this._probe = this._open(this._live._index, 1, fillsGapBy);
  }

  /** The probe has caught up: make it the live connection. */
  _takeOver() {
    this._live._drop();
    this._live = this._probe;
    this._probe = null;
  }

  /** The probe has ended before it could take over. Return whether a gap remains. */
  _probeEnded() {
    const leavesGap = this._isFillingGap;
    this._probe = null;
    if (!leavesGap) this._upgradeLater();
    return leavesGap;
  }
}
