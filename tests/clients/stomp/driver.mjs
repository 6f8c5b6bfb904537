/**
 * What the clients here have in common: they say what happens to them, one JSON array a line, and do what they are told
 * on their standard input in the same way.
 */

import { createInterface } from "node:readline";

/** @param {...unknown} words */
export const say = (...words) => process.stdout.write(`${JSON.stringify(words)}\n`);

/**
 * The process ends with its input, and not because nothing else is to do.
 *
 * @param {Record<string, (argument: any) => unknown>} commands
 */
export function obey(commands) {
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const [command, argument] = JSON.parse(line);
      commands[command](argument);
    })
    .on("close", () => process.exit());
}
