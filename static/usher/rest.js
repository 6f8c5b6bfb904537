/**
 * What a page asks the site over REST, as the person whose cookie the browser has.
 *
 * @module
 */

import { UnauthorizedError } from "./client.js";

/** @import { Block } from "./words.js" */

/** A server that hangs must not use up the page's connections. */
const ANSWER_MS = 10_000;

export class Rest {
  /** @param {Block["csrf"]} csrf as of the newest page: its token ends with the sign-in that it was rendered for */
  constructor(csrf) {
    this.csrf = csrf;
  }

  /** @param {string} url @param {{ [name: string]: string | number | boolean }} [query] @returns {Promise<any>} */
  async get(url, query = {}) {
    const asked = new URL(url, location.href);
    for (const [name, value] of Object.entries(query)) asked.searchParams.set(name, String(value));
    const options = { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(ANSWER_MS) };
    return answered(await fetch(asked, options));
  }

  /** @param {string} url @param {object} body @returns {Promise<any>} */
  async post(url, body) {
    return this.#change("POST", url, JSON.stringify(body));
  }

  /** @param {string} url @returns {Promise<any>} */
  async delete(url) {
    return this.#change("DELETE", url);
  }

  /** @param {string} method @param {string} url @param {string} [body] */
  async #change(method, url, body) {
    const { cookie: name, header, token } = this.csrf;
    const headers = { "Content-Type": "application/json", [header]: cookie(name) || token };
    // Of a mark that is made by following a link, the page does not live to hear the answer.
    const options = { method, headers, keepalive: true, signal: AbortSignal.timeout(ANSWER_MS) };
    return answered(await fetch(url, body === undefined ? options : { ...options, body }));
  }
}

/** @param {Response} answer */
async function answered(answer) {
  // Either the session is over, or somebody signed in anew in another tab and this page's CSRF token with it; both are
  // mended by signing in.
  const what = `${answer.url} answered ${answer.status}`;
  if (answer.status === 401 || answer.status === 403) throw new UnauthorizedError(what);
  if (!answer.ok) throw new Error(what);
  return answer.status === 204 ? null : answer.json();
}

/** @param {string} name */
function cookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
