/**
 * How many are unread, where a browser shows its tabs: in front of the page's title, and on its icon. Only where the
 * site asks for it: see `{% usher_head %}`.
 *
 * @module
 */

/** @import { Page } from "./page.js" */

/** Icons go so far, the last one for all above. */
const MOST = 100;

/**
 * @param {Page} live
 * @param {{ title: boolean, icon: string }} wanted `icon`: an address with `{n}` in it, or nothing
 * @param {number} rendered The number that the server may have put into the title.
 */
export function countInTab(live, { title, icon }, rendered) {
  let shown = rendered;
  const show = () => {
    const n = live.counts.unread;
    if (title) document.title = titleWith(document.title, n, shown);
    shown = n;
    if (icon) showIcon(icon.replace("{n}", String(Math.min(n, MOST))));
  };
  live.on("counts", show);
  show();
}

/** @param {string} title @param {number} n @param {number} shown The number in front of it, if there is one. */
export function titleWith(title, n, shown) {
  const front = `(${shown}) `;
  const bare = title.startsWith(front) ? title.slice(front.length) : title;
  return n ? `(${n}) ${bare}` : bare;
}

/** @param {string} address */
function showIcon(address) {
  const links = document.querySelectorAll("link[rel~=icon]");
  const [first] = links;
  if (first instanceof HTMLLinkElement && links.length === 1 && first.href === new URL(address, location.href).href) return;
  // A new element: browsers do not look again at one they know.
  const link = document.createElement("link");
  link.rel = "icon";
  link.type = "image/svg+xml";
  link.href = address;
  for (const old of links) old.remove();
  document.head.append(link);
}
