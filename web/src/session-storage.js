// What a reload of the page must not lose, in the tab's own storage. It may be forbidden, full or foreign: then there
// is none.

/** Return what *work* returns, null where it fails. */
export const attempt = (work) => {
  try {
    return work();
  } catch {
    return null;
  }
};

export const load = (store, key) => attempt(() => JSON.parse(store.getItem(key)));

/** Keep *value*, or nothing where it is null. */
export const save = (store, key, value) => attempt(() => store.setItem(key, JSON.stringify(value)));
