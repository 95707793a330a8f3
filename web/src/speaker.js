// Announces text to screen readers: news at once, steps seldom, and of waiting texts only the newest.

import { element } from './dom.js';

const KEPT_MS = 20_000; // announced text is removed after this, since it is no longer news

/**
 * @param {HTMLElement} live the live region.
 * @returns {(words: string, pause?: number) => void} announces *words*, at the earliest *pause* ms after the last
 *   announcement; a text that is still waiting is replaced by the next one.
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
