// Finds the server's address from that of this script, and recognises addresses that a browser would refuse.

const scriptUrl = globalThis.document?.currentScript?.src; // read now: null once the script has run
const page = globalThis.location;
const HTTP = /^https?:\/\/\w/;
const PLAIN_HTTP = /^http:/;
const LOOPBACK = /^http:\/\/(localhost|127\.|\[)/; // browsers let pages on https connect to their own machine

/** Return the server's address with a final slash: *baseUrl* if given, else the script's origin and prefix. */
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
