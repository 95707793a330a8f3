// Handles the messages of the live connection: keeps the known run up to date, stores it for a reload of the page, and
// reports what is new.

import { timesAfter, withAges } from './ages.js';
import { KnownRun } from './known-run.js';

const LINGER_MS = 3000; // how long to stay connected after the end: robots add a line or two

export class Intake {
  /**
   * @param {RPAProgressClient} client
   * @param {object} timers see timers.js.
   * @param {Reporter} reporter
   * @param {() => void} onGap called when updates are missing.
   * @param {() => void} onEnd called when the run has ended and LINGER_MS have passed without an update.
   */
  constructor(client, timers, reporter, onGap, onEnd) {
    this._client = client;
    this._timers = timers;
    this._reporter = reporter;
    this._onGap = onGap;
    this._onEnd = onEnd;
    this._run = new KnownRun();
    this._times = undefined; // see ages.js; undefined while there is no snapshot
    this._counts = { gaps: 0, updates: 0, duplicates: 0, resets: 0 };
  }

  /** Unless a run is known, begin with the snapshot that *store* (a ResumeStore) has from before a reload. */
  _resume(store) {
    this._store = store;
    if (!this._run._snapshot) [this._run._snapshot, this._times] = store._loadSnapshot();
    if (this._run._snapshot && !this._client.lastSeq) this._show(null);
  }

  /** Return the snapshot with how old it is now, null while nothing is known. */
  get _snapshot() {
    const { _snapshot: snapshot } = this._run;
    return snapshot && withAges(snapshot, this._times, this._client.now());
  }

  /** Handle a message; *fillsGapBy* says whether its connection was opened to fill a gap, and how (0: it was not). */
  _takeIn(message, fillsGapBy) {
    const { _run: run, _counts: counts } = this;
    const before = run._snapshot;
    const outcome = run._accept(message);
    const after = run._snapshot;
    if (after && (message.recovered || after !== before)) {
      const known = before?.epoch === after.epoch ? this._times : undefined;
      this._times = timesAfter(message, after, before, known, this._client.now());
    }
    if (outcome === 'old') counts.duplicates += 1;
    if (outcome === 'gap') this._onGap();
    if (after === before) return;
    if (outcome === 'reset' && before) {
      counts.resets += 1;
      if (fillsGapBy) run._allowHoles();
    }
    if (outcome !== 'position') this._show(outcome === 'next' ? message : null, before);
  }

  /** Call onEnd after LINGER_MS; another update of the robot restarts the wait. */
  _endLater() {
    this._timers._after('silence', LINGER_MS, this._onEnd);
  }

  /** Report *update*, or the whole snapshot if *update* is null. */
  _show(update, before) {
    const snapshot = this._snapshot;
    this._client.lastSeq = snapshot.seq;
    this._counts.updates += 1;
    this._store._saveSnapshot(this._run._snapshot, this._times);
    if (snapshot.final) this._endLater();
    else this._timers._after('silence', this._client.stallAfter, () => this._reporter._stall(this._snapshot));
    this._reporter._progress(snapshot, update, before);
  }
}
