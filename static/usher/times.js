/**
 * Moments in the words and the time zone of the person. No DOM.
 *
 * @module
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Whole days of the calendar from one moment to another, both in local time. @param {Date} then @param {Date} now */
export function daysBetween(then, now) {
  // By their dates at noon: days on which clocks are moved have 23 or 25 hours.
  const noon = (/** @type {Date} */ date) => new Date(date.getFullYear(), date.getMonth(), date.getDate(), 12);
  return Math.round((noon(now).getTime() - noon(then).getTime()) / DAY);
}

/**
 * “3 minutes ago” within a day, then the date. What seems to be in the future is now: clocks differ.
 *
 * @param {Date} then
 * @param {Date} now
 * @param {string} language
 */
export function ago(then, now, language) {
  const passed = Math.max(0, now.getTime() - then.getTime());
  if (passed < DAY) {
    const format = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
    if (passed < MINUTE) return format.format(0, "second");
    if (passed < HOUR) return format.format(-Math.floor(passed / MINUTE), "minute");
    return format.format(-Math.floor(passed / HOUR), "hour");
  }
  const year = then.getFullYear() === now.getFullYear() ? {} : { year: /** @type {const} */ ("numeric") };
  return new Intl.DateTimeFormat(language, { month: "short", day: "numeric", ...year }).format(then);
}

/**
 * The heading of a day.
 *
 * @param {Date} then
 * @param {Date} now
 * @param {{ language: string, today: string, yesterday: string }} words
 */
export function dayName(then, now, { language, today, yesterday }) {
  const days = daysBetween(then, now);
  if (days <= 0) return today;
  if (days === 1) return yesterday;
  const year = then.getFullYear() === now.getFullYear() ? {} : { year: /** @type {const} */ ("numeric") };
  return new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long", ...year }).format(then);
}
