// Addresses that come from attributes, which others may write: only those that are harmless to follow.

const SAFE_PROTOCOLS = new Set(['http:', 'https:', 'tel:', 'mailto:']);

/** Return *address* in full where a visitor may follow it: to a page, a telephone, a mail; else a false value. */
export const safeUrl = (address) => {
  if (!address) return address;
  try {
    const { protocol, href } = new URL(address, document.baseURI);
    return SAFE_PROTOCOLS.has(protocol) && href;
  } catch {
    return false;
  }
};
