// What a client knows of its session: the snapshot, where the server is to go on, and gaps in the numbers. Pure.

import { reduce } from './snapshot.js';

/** How a second connection is to fill a gap: with the missing updates, or with the whole snapshot. */
export const BY_UPDATES = 1;
export const BY_SNAPSHOT = 2;

export class KnownRun {
  constructor() {
    this._snapshot = null; // see snapshot.js; null while nothing is known
    this._gapCursor = null; // where the last gap was met
    this._sparseEpoch = null; // the run whose numbers have holes that nobody can fill
  }

  get _isFinal() {
    return Boolean(this._snapshot?.final);
  }

  /** Return the cursor for the server: '<epoch>:<seq>', '0' for every update of the run, '' for the whole snapshot. */
  _cursor(replay) {
    const snapshot = this._snapshot;
    if (snapshot?.epoch) return `${snapshot.epoch}:${snapshot.seq}`;
    return replay ? '0' : '';
  }

  /** Whether the page has already seen more than what led to *message*. */
  _isAheadOf(message) {
    const snapshot = this._snapshot;
    if (!snapshot) return false;
    return message.epoch === snapshot.epoch ? message.seq < snapshot.seq : message.type !== 'sync';
  }

  /** Take in a message and return what it was, see reduce(). */
  _accept(message) {
    const isSparse = this._snapshot && this._sparseEpoch === this._snapshot.epoch;
    const [snapshot, outcome] = reduce(this._snapshot, message, isSparse);
    this._snapshot = snapshot;
    return outcome;
  }

  /** Return how to fill the gap that was just met: where the updates after the same cursor were no help, by snapshot. */
  _fillGapBy(replay) {
    const cursor = this._cursor(replay);
    const isSecondTry = this._gapCursor === cursor;
    this._gapCursor = cursor;
    return isSecondTry ? BY_SNAPSHOT : BY_UPDATES;
  }

  /** From now on a hole in this run's numbers is no gap: not even the server could fill the last one. */
  _allowHoles() {
    this._sparseEpoch = this._snapshot.epoch;
  }
}
