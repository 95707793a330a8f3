// Where the server is, taken from where this script came from, and which addresses a browser would refuse.

const scriptUrl = globalThis.document?.currentScript?.src; // null once the script has run, so it is read here
const page = globalThis.location;
const HTTP = /^https?:\/\/\w/;
const PLAIN_HTTP = /^http:/;
const LOOPBACK = /^http:\/\/(localhost|127\.|\[)/; // browsers let pages on https connect to their own machine

/** Return the server's address with a slash at the end: *baseUrl* if the page gave one, else the script's origin and prefix. */
export const serverAddress = (baseUrl) => {
  const address = baseUrl || scriptUrl?.replace(/(\/static\/.*|\/[^/]*)$/, '') || '';
  return address.endsWith('/') ? address : `${address}/`;
};

/** Return the error code of a configuration that can't work, undefined where nothing is wrong. */
export const configurationError = (sessionId, address, transports) => {
  if (!sessionId || !transports.length || !HTTP.test(address)) return 'config';
  const isSecurePage = page?.protocol === 'https:';
  return isSecurePage && PLAIN_HTTP.test(address) && !LOOPBACK.test(address) ? 'mixed_content' : undefined;
};
