// Loads the data file beside the script: style, words, English, demonstration (loaded-data.js).
//
// It may come late, or never: what is shown by then is brought up to date, and what can't be had is done without.

import { loaded } from './words.js';

const AGAIN_MS = 5000;
const SCRIPT_URL = /(.+?)(-\d[^/]*)?\.js(\?|$)/; // the file's name is the script's, without its version

/**
 * Load the file; the promise resolves after the first try, whatever came of it.
 *
 * @param {string | undefined} scriptUrl a script that is part of the page itself has none, and no such file.
 * @param {number} tries that may follow this one.
 * @param {() => void} onEnd called when everything is there, or nothing more will come.
 */
export async function loadData(scriptUrl, tries, onEnd) {
  try {
    const [, stem] = SCRIPT_URL.exec(scriptUrl);
    const answer = await fetch(`${stem}-${VERSION}.json`, { integrity: INTEGRITY });
    const { en, ...rest } = await answer.json();
    Object.assign(loaded.en, en);
    Object.assign(loaded, rest);
  } catch {
    if (tries > 0) {
      setTimeout(loadData, AGAIN_MS, scriptUrl, tries - 1, onEnd);
      return;
    }
  }
  loaded._isComplete = true;
  onEnd();
}
