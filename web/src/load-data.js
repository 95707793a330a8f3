// Loads the data file beside the script: style, words, English, demonstration (loaded-data.js).
//
// The file may come late: then what is already shown is updated. If it never comes, the widget works without it.

import { loaded } from './words.js';

const AGAIN_MS = 5000;
const SCRIPT_URL = /(.+?)(-\d[^/]*)?\.js(\?|$)/; // the data file's name begins as the script's, without a version

/**
 * Load the file; the promise resolves after the first attempt, whatever its result.
 *
 * @param {string | undefined} scriptUrl undefined for a script inside the page itself, which has no such file.
 * @param {number} tries how many further attempts may follow.
 * @param {() => void} onEnd called when everything is loaded, or no further attempt is made.
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
