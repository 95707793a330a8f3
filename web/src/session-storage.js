// Keeps in the tab's storage what a reload of the page must not lose: the run's snapshot and the transport that worked.
//
// The storage may be forbidden or full, or contain values of another program; then the page goes on without it.

/** Return what *work* returns, null if it throws. */
export const attempt = (work) => {
  try {
    return work();
  } catch {
    return null;
  }
};

export class ResumeStore {
  /**
   * @param {Storage | null} storage null to store nothing.
   * @param {string} address the server's address.
   * @param {string} sessionId
   */
  constructor(storage, address, sessionId) {
    this._storage = storage;
    this._transportKey = address;
    this._snapshotKey = address + sessionId;
  }

  _load(key) {
    return attempt(() => JSON.parse(this._storage.getItem(key)));
  }

  _save(key, value) {
    attempt(() => this._storage.setItem(key, JSON.stringify(value)));
  }

  _loadTransport() {
    return this._load(this._transportKey);
  }

  _saveTransport(name) {
    this._save(this._transportKey, name);
  }

  /** Return the stored snapshot, null for none, and its times, see ages.js. */
  _loadSnapshot() {
    const stored = this._load(this._snapshotKey);
    return stored?.[1] instanceof Array ? stored : [null];
  }

  /** Store *snapshot* and its *times* for a reload; a run that has ended is removed, so it is not resumed. */
  _saveSnapshot(snapshot, times) {
    this._save(this._snapshotKey, snapshot.final ? null : [snapshot, times]);
  }
}
