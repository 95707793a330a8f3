// A simulated run that needs no server: plays what the file beside the script tells of it (learned.demo), and without
// that file waits for a start that never comes.
//
// It stands where the browser's WebSocket stands, so that nothing else knows the difference.

import { learned } from './texts.js';

/** A WebSocket whose run ends well. */
export function DemoSocket() {
  const play = (seq) => {
    const [wait, message] = learned.demo[seq];
    this.onmessage?.({ data: JSON.stringify({ epoch: 'demo', seq, timestamp: new Date().toISOString(), ...message }) });
    if (learned.demo[seq + 1]) timer = setTimeout(play, wait, seq + 1);
  };
  let timer = setTimeout(play, 0, 0);
  this.send = () => {};
  this.close = () => clearTimeout(timer);
}
