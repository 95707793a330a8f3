// A simulated run that needs no server: plays the messages that the data file has (loaded.demo), and stays at the first one
// until that file has come.
//
// It has the interface of the browser's WebSocket, so that nothing else knows the difference.

import { loaded } from './words.js';

/** A WebSocket that plays a run with a good end. */
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

  send() {} // a ping has no answer: it is never needed here

  close() {
    clearTimeout(this._timer);
  }
}
