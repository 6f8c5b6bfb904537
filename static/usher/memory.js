/**
 * What a browser keeps for a page: until the tab is closed, or for longer. It may be forbidden or full; nothing here
 * depends on it.
 *
 * @module
 */

/** @param {() => Storage} storage naming it can already fail */
function memory(storage) {
  /** @template T @param {(kept: Storage) => T} use */
  const attempt = (use) => {
    try {
      return use(storage());
    } catch {
      return null;
    }
  };
  return {
    /** @param {string} key @param {string} value */
    keep: (key, value) => void attempt((kept) => kept.setItem(key, value)),
    /** @param {string} key */
    recall: (key) => attempt((kept) => kept.getItem(key)),
    /** @param {string} key */
    forget: (key) => void attempt((kept) => kept.removeItem(key)),
  };
}

export const ofTheTab = memory(() => sessionStorage);
export const ofTheDevice = memory(() => localStorage);
