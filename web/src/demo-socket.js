// A simulated run that needs no server: plays what the file beside the script tells of it (learned.demo), and waits for its
// start until that file has come.
//
// It stands where the browser's WebSocket stands, so that nothing else knows the difference.

import { learned } from './words.js';

/** A WebSocket whose run ends well. */
export function DemoSocket() {
  const play = (seq) => {
    const [wait, message] = learned.demo[seq];
    this.onmessage?.({ data: JSON.stringify({ epoch: 'demo', seq, timestamp: new Date().toISOString(), ...message }) });
    if (!message.final) timer = setTimeout(play, wait, seq + !!learned.demo[seq + 1]);
  };
  let timer = setTimeout(play, 0, 0);
  this.send = () => {};
  this.close = () => clearTimeout(timer);
}
