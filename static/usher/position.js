/**
 * Where somebody stands in a stream, and how that is said to a server.
 *
 * @module
 */

/** @typedef {{ epoch: string, seq: number }} Position The last number that was heard; keep it to resume from there. */

/**
 * The server takes a position it cannot read for a client that does not speak the protocol.
 *
 * @param {Position | null} [position]
 * @returns {Position | null}
 */
export function resumable(position) {
  const fits = position?.epoch && Number.isSafeInteger(position.seq) && position.seq >= 0;
  return fits ? { epoch: position.epoch, seq: position.seq } : null;
}

/** @param {string} url @param {Position | null} position */
export function withPosition(url, position) {
  if (!position) return url;
  return `${url}${url.includes("?") ? "&" : "?"}since=${encodeURIComponent(position.epoch)}:${position.seq}`;
}

/** As a frame has it. @param {Position} position */
export function spelled({ epoch, seq }) {
  return `${epoch}:${seq}`;
}
