// When the client connects again after a failure, and when it gives up.

import { backoff } from './backoff.js';
import { slowWhileHidden } from './surroundings.js';

const SPREAD = 6700; // ms over which pages come back that lost the server at the same moment

export class Retry {
  /** @param {object} client its options, its clock and its random numbers. */
  constructor(client) {
    this._client = client;
    this._failures = undefined; // since a connection lasted; a number once connect() was called
    this._notBefore = 0; // ms since 1970: when the server wants us back
  }

  _reset() {
    this._failures = 0;
  }

  get _isExhausted() {
    return this._failures >= this._client.maxAttempts;
  }

  /** Count a failure and set the error's `retryAt`; *isShared* where other pages probably lost the server, too. */
  _schedule(error, isShared) {
    const client = this._client;
    const spread = isShared ? SPREAD : 0;
    const wait = backoff(this._failures, client.minDelay, client.maxDelay, client.random(), spread);
    this._notBefore = client.now() + (error._retryAfterMs || 0);
    error.retryAt = this._notBefore + slowWhileHidden(wait);
    this._failures += 1;
  }
}
