// The names that a page sees. A name that is taken is the page's, or ours from an earlier load: it is left alone.

export const defineGlobals = (names) => {
  for (const name in names) globalThis[name] ??= names[name];
};
