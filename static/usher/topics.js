/**
 * What a client listens to besides the person's own stream: each topic once, however many listen to it (`topic.js`).
 *
 * @module
 */

import { Subscription } from "./subscription.js";
import { Topic } from "./topic.js";

/** @import { Bye, ErrorFrame, Frame } from "./frames.js" */
/** @import { Line } from "./line.js" */
/** @import { Position } from "./position.js" */
/** @import { Clock } from "./timing.js" */

const STREAM = "t.";

export class Topics {
  #clock;
  /** @type {Line | null} */
  #line = null;
  /** By their names. @type {Map<string, Topic>} */
  #topics = new Map();
  #refs = 0;

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  /** @param {string} name @param {Position | null} since */
  subscribe(name, since) {
    const subscription = new Subscription(name, since, () => this.#left(subscription));
    const topic = this.#topics.get(name) ?? new Topic(name, this.#clock, (command) => this.#ask(command));
    this.#topics.set(name, topic);
    topic.join(subscription);
    return subscription;
  }

  /** @param {Subscription} subscription */
  #left(subscription) {
    const topic = this.#topics.get(subscription.topic);
    topic?.leave(subscription);
    if (topic) this.#tidy(topic);
  }

  // --- The connection ---

  /** @param {Line} line */
  connected(line) {
    this.#line = line;
    for (const topic of this.#topics.values()) topic.look();
  }

  /** Whoever listens is told by `settle()`. */
  disconnected() {
    this.#line = null;
    for (const topic of [...this.#topics.values()]) {
      topic.disconnected();
      this.#tidy(topic);
    }
  }

  /** The connection has become what it is: those that listen to it learn that they do not hear it now. */
  settle() {
    for (const topic of [...this.#topics.values()]) topic.settle();
  }

  reauthenticated() {
    for (const topic of this.#topics.values()) topic.again();
  }

  /** Whether it was about a topic. @param {Exclude<Frame, Bye>} frame */
  heard(frame) {
    if (!("stream" in frame) || !frame.stream.startsWith(STREAM)) return false;
    const topic = this.#topics.get(frame.stream.slice(STREAM.length));
    if (topic && this.#line) {
      topic.heard(frame, this.#line);
      this.#tidy(topic);
    }
    return true; // one that nobody listens to may still have been on its way
  }

  /** @param {ErrorFrame} frame */
  erred(frame) {
    for (const topic of [...this.#topics.values()]) {
      topic.erred(frame);
      this.#tidy(topic);
    }
  }

  /** @param {{ type: string, topic: string, since?: string }} command @returns {string | null} its `ref`, if it was sent */
  #ask(command) {
    if (!this.#line) return null;
    this.#refs += 1;
    const ref = `topic-${this.#refs}`;
    if (command.type === "unsubscribe") this.#line.forget(STREAM + command.topic);
    this.#line.send({ ...command, ref });
    return ref;
  }

  /** @param {Topic} topic */
  #tidy(topic) {
    if (topic.isOver && this.#topics.get(topic.name) === topic) this.#topics.delete(topic.name);
  }
}
