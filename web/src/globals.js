// Defines the global names. A name that exists already is the page's, or ours from an earlier load: it is left alone.

export const defineGlobals = (names) => {
  for (const name in names) globalThis[name] ??= names[name];
};
