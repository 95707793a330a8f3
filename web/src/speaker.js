// What a screen reader says: news at once, steps seldom, and then only the newest.

import { element } from './dom.js';

const KEPT_MS = 20_000; // what was said is no news for ever

/**
 * @param {HTMLElement} live the live region.
 * @returns {(words: string, pause?: number) => void} says *words*, at the earliest *pause* ms after what was said last; what
 *   waits for that gives way to what comes next.
 */
export const createSpeaker = (live) => {
  let spokenAt = 0;
  let waiting;
  const speak = (words, pause = 0) => {
    const wait = spokenAt + pause - Date.now();
    clearTimeout(waiting);
    if (wait > 0) {
      waiting = setTimeout(speak, wait, words);
      return;
    }
    spokenAt = Date.now();
    live.append(element('p', {}, words));
    setTimeout(() => live.firstChild.remove(), KEPT_MS);
  };
  return speak;
};
