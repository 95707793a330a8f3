// Derives the server's address from that of this script, and detects configurations that can't work.

const scriptUrl = globalThis.document?.currentScript?.src; // read now: null once the script has run
const page = globalThis.location;
const HTTP = /^https?:\/\/\w/;
const PLAIN_HTTP = /^http:/;
// From a page on https, browsers allow http to their own machine; every IPv6 address counts as that.
const LOOPBACK = /^http:\/\/(localhost|127\.|\[)/;

/** Return the server's address with a final slash: *baseUrl*, else the script's up to /static/ or to its file name. */
export const serverAddress = (baseUrl) => {
  const address = baseUrl || scriptUrl?.replace(/(\/static\/.*|\/[^/]*)$/, '') || '';
  return address.endsWith('/') ? address : `${address}/`;
};

/** Return the error code of a configuration that can't work, undefined if it can. */
export const configurationError = (sessionId, address, transports) => {
  if (!sessionId || !transports.length || !HTTP.test(address)) return 'config';
  const isSecurePage = page?.protocol === 'https:';
  return isSecurePage && PLAIN_HTTP.test(address) && !LOOPBACK.test(address) ? 'mixed_content' : undefined;
};
