// When the client connects again after a failure, and when it gives up.

import { backoff } from './backoff.js';
import { slowWhileHidden } from './surroundings.js';

const SPREAD = 6700; // pages that lost the server at the same moment reconnect spread over this many ms

export class Retry {
  /** @param {object} client supplies the options, the clock and random numbers. */
  constructor(client) {
    this._client = client;
    this._failures = undefined; // failures since a connection lasted or _reset() was called; undefined before connect()
    this._notBefore = 0; // ms since 1970: the server wants no earlier attempt
  }

  _reset() {
    this._failures = 0;
  }

  get _isExhausted() {
    return this._failures >= this._client.maxAttempts;
  }

  /** Count a failure and set the error's `retryAt`; *isShared*: other pages probably lost the server, too. */
  _schedule(error, isShared) {
    const client = this._client;
    const spread = isShared ? SPREAD : 0;
    const wait = backoff(this._failures, client.minDelay, client.maxDelay, client.random(), spread);
    this._notBefore = client.now() + (error._retryAfterMs || 0);
    error.retryAt = this._notBefore + slowWhileHidden(wait);
    this._failures += 1;
  }
}
