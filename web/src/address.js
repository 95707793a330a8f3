// Where the server is, taken from where this script came from; and what may not be asked of a browser.

const source = globalThis.document?.currentScript?.src; // gone once the script has run
const page = globalThis.location;

/** Return the server's address with a slash at the end; *given* is the page's word for it. */
export const base = (given) => (given || source?.replace(/(\/static\/.*|\/[^/]*)$/, '') || '').replace(/\/?$/, '/');

/** Return the code of the error where it can't work. */
export const problem = (session, url, rungs) => {
  if (!session || !rungs[0] || !/^https?:..\w/.test(url)) return 'config';
  if (page?.protocol === 'https:' && /^http:..(?!localhost|127\.|\[)/.test(url)) return 'mixed_content';
};
