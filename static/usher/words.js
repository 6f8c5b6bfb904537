/**
 * What the page is told of itself by the server, and the words in the person's language. No DOM.
 *
 * @module
 */

/**
 * The data block that `{% usher_head %}` writes.
 *
 * @typedef {object} Block
 * @property {string} user
 * @property {string} epoch
 * @property {number} head
 * @property {number} state_version
 * @property {number} unread
 * @property {number} unseen
 * @property {string} language
 * @property {{ cookie: string, header: string, token: string }} csrf
 * @property {{ tickets: string, list: string, state: string, sessions: string, preferences: string, inbox: string,
 *   login: string }} urls
 * @property {{ title: boolean, icon: string }} tab
 * @property {{ [kind: string]: string }} kinds What the site calls them.
 * @property {string[]} unmutable Kinds that everybody is told.
 * @property {{ [key: string]: string | { [category: string]: string } }} words
 */

export class Words {
  #language;
  #words;
  #kinds;
  #unmutable;
  #plural;
  #number;

  /** @param {Pick<Block, "language" | "words"> & Partial<Pick<Block, "kinds" | "unmutable">>} block */
  constructor({ language, words, kinds = {}, unmutable = [] }) {
    this.#language = supported(language);
    this.#words = words;
    this.#kinds = kinds;
    this.#unmutable = unmutable;
    this.#plural = new Intl.PluralRules(this.#language);
    this.#number = new Intl.NumberFormat(this.#language, { useGrouping: false });
  }

  /** For `Intl`. */
  get language() {
    return this.#language;
  }

  /**
   * The words under a key; where they have several forms, the one for `n`. A key without words is shown as it is: better
   * than an element that breaks.
   *
   * @param {string} key
   * @param {{ n?: number, kind?: string }} [values]
   */
  say(key, { n = 0, kind = "" } = {}) {
    const found = this.#words[key] ?? key;
    const text = typeof found === "string" ? found : (found[this.#plural.select(n)] ?? found.other ?? key);
    return text.replaceAll("{n}", this.#number.format(n)).replaceAll("{kind}", () => kind);
  }

  /** What people call a kind of notifications. @param {string} kind */
  kind(kind) {
    return Object.hasOwn(this.#kinds, kind) ? /** @type {string} */ (this.#kinds[kind]) : kind;
  }

  /** @param {string} kind */
  mayMute(kind) {
    return kind !== "" && !this.#unmutable.includes(kind);
  }
}

/**
 * With the digits that the server writes: browsers do not agree on those of Arabic, and some languages have others in some
 * countries. Browsers refuse languages that are spelled as they do not expect.
 *
 * @param {string} language
 */
function supported(language) {
  const digits = { numberingSystem: "latn" };
  try {
    return new Intl.Locale(language.replace("_", "-"), digits).toString();
  } catch {
    return new Intl.Locale("en", digits).toString();
  }
}
