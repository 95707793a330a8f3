// What a client knows of its session: the snapshot, the cursor, and gaps in the updates' numbers. No I/O.

import { reduce } from './snapshot.js';

/** How a second connection fills a gap: with the missing updates, or with the whole snapshot. */
export const BY_UPDATES = 1;
export const BY_SNAPSHOT = 2;

export class KnownRun {
  constructor() {
    this._snapshot = null; // see snapshot.js; null while nothing is known
    this._gapCursor = null; // the cursor at the last gap
    this._sparseEpoch = null; // epoch of a run whose numbers have gaps that nobody can fill
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

  /**
   * Tell whether the page has seen more than *message* brings.
   *
   * Of another run, a sync brings more; a single update does not, since it does not show how far that run is.
   */
  _isAheadOf(message) {
    const snapshot = this._snapshot;
    if (!snapshot) return false;
    return message.epoch === snapshot.epoch ? message.seq < snapshot.seq : message.type !== 'sync';
  }

  /** Handle a message and return what it was, see reduce(). */
  _accept(message) {
    const isSparse = this._snapshot && this._sparseEpoch === this._snapshot.epoch;
    const [snapshot, outcome] = reduce(this._snapshot, message, isSparse);
    this._snapshot = snapshot;
    return outcome;
  }

  /** Return how to fill the latest gap: by snapshot if fetching the updates after the same cursor did not help. */
  _fillGapBy(replay) {
    const cursor = this._cursor(replay);
    const isSecondTry = this._gapCursor === cursor;
    this._gapCursor = cursor;
    return isSecondTry ? BY_SNAPSHOT : BY_UPDATES;
  }

  /** Accept gaps in this run's numbers from now on: not even the server could fill the last one. */
  _allowHoles() {
    this._sparseEpoch = this._snapshot.epoch;
  }
}
