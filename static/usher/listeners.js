/**
 * Who hears of what. No DOM.
 *
 * @module
 */

/**
 * @template {object} Events What is told, by the names of the events.
 */
export class Listeners {
  /** @type {{ [Name in keyof Events]?: Set<(detail: any) => void> }} */
  #of = {};

  /**
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {(detail: Events[Name]) => void} listener
   * @returns {() => void} ends it
   */
  add(event, listener) {
    const listeners = (this.#of[event] ??= new Set());
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /**
   * A listener that throws, at once or later, is reported and harms nobody.
   *
   * @template {keyof Events} Name
   * @param {Name} event
   * @param {Events[Name]} detail
   */
  tell(event, detail) {
    for (const listener of [...(this.#of[event] ?? [])]) {
      try {
        const result = /** @type {any} */ (listener(detail));
        if (result instanceof Promise) result.catch(report);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** @param {unknown} error */
export function report(error) {
  const { reportError, console } = /** @type {any} */ (globalThis);
  if (reportError) reportError(error);
  else console.error(error);
}
