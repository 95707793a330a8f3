// The names that a page sees. A script that is loaded twice changes nothing.

export const install = (names) => globalThis.RPAProgressClient || Object.assign(globalThis, names);
