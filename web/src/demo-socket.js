// A simulated run that needs no server: plays the messages of the data file (loaded.demo), and repeats the first one
// until that file is loaded.
//
// It has what the client uses of the browser's WebSocket, so that the client needs no code for the demonstration.

import { loaded } from './words.js';

/** A WebSocket that plays a run that ends with a quote. */
export class DemoSocket {
  constructor() {
    this._timer = setTimeout(() => this._play(0), 0);
  }

  _play(seq) {
    const [wait, message] = loaded.demo[seq];
    const timestamp = new Date().toISOString();
    this.onmessage?.({ data: JSON.stringify({ epoch: 'demo', seq, timestamp, ...message }) });
    if (message.final) return;
    this._timer = setTimeout(() => this._play(loaded.demo[seq + 1] ? seq + 1 : seq), wait);
  }

  send() {} // pings are not answered

  close() {
    clearTimeout(this._timer);
  }
}
