// Filters addresses from attributes, which others may have written: only those with a harmless scheme may be followed.

const SAFE_PROTOCOLS = new Set(['http:', 'https:', 'tel:', 'mailto:']);

/** Return *address* in full if a visitor may follow it (a page, a telephone number, an e-mail), else a falsy value. */
export const safeUrl = (address) => {
  if (!address) return address;
  try {
    const { protocol, href } = new URL(address, document.baseURI);
    return SAFE_PROTOCOLS.has(protocol) && href;
  } catch {
    return false;
  }
};
