/** The parts of the elements that need no page: words, times, keys. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { isTyping } from "../../static/usher/keys.js";
import { Page } from "../../static/usher/page.js";
import { titleWith } from "../../static/usher/tab.js";
import { ago, dayName, daysBetween } from "../../static/usher/times.js";
import { Words } from "../../static/usher/words.js";

describe("words", () => {
  const english = new Words({ language: "en-us", words: { new: { one: "{n} new", other: "{n} new ones" }, go: "Go" } });

  test("take the form that the language has for a number", () => {
    assert.deepEqual([1, 0, 1_234].map((n) => english.say("new", { n })), ["1 new", "0 new ones", "1234 new ones"]);
    const polish = new Words({ language: "pl", words: { new: { one: "nowe", few: "nowe (2)", many: "nowych" } } });
    assert.deepEqual([1, 3, 5].map((n) => polish.say("new", { n })), ["nowe", "nowe (2)", "nowych"]);
  });

  test("are themselves where they have one form, and the key where there are none", () => {
    assert.equal(english.say("go"), "Go");
    assert.equal(english.say("nowhere"), "nowhere");
  });

  test("of Arabic have six forms", () => {
    const found = {
      zero: "لا إشعارات جديدة",
      one: "إشعار جديد واحد",
      two: "إشعاران جديدان",
      few: "{n} إشعارات جديدة",
      many: "{n} إشعارًا جديدًا",
      other: "{n} إشعار جديد",
    };
    const arabic = new Words({ language: "ar", words: { new: found } });
    assert.deepEqual([0, 1, 2, 3, 11, 99, 100, 103].map((n) => arabic.say("new", { n })), [
      "لا إشعارات جديدة",
      "إشعار جديد واحد",
      "إشعاران جديدان",
      "3 إشعارات جديدة",
      "11 إشعارًا جديدًا",
      "99 إشعارًا جديدًا",
      "100 إشعار جديد",
      "103 إشعارات جديدة",
    ]);
  });

  test("have the digits that the server writes, wherever a browser thinks they are used", () => {
    for (const language of ["ar", "ar-eg", "fa", "bn", "de", "en-us"]) {
      const words = new Words({ language, words: { new: { other: "{n}" } } });
      assert.equal(words.say("new", { n: 1_234 }), "1234", language);
      assert.match(ago(new Date(2026, 2, 1, 12, 0), new Date(2026, 2, 1, 12, 34), words.language), /34/, language);
    }
  });

  test("of a language that is spelled in no known way are as those of English", () => {
    const spelled = (language) => new Intl.Locale(new Words({ language, words: {} }).language).baseName;
    assert.deepEqual(["no such_language!", "zh_hans", "ar"].map(spelled), ["en", "zh-Hans", "ar"]);
  });
});

describe("kinds", () => {
  const words = new Words({
    language: "en",
    words: { done: "{kind} is muted ({n})" },
    kinds: { "ci.build": "Builds" },
    unmutable: ["account"],
  });

  test("are called what the site calls them, else what they are", () => {
    assert.deepEqual(["ci.build", "chat", "toString"].map((kind) => words.kind(kind)), ["Builds", "chat", "toString"]);
    assert.equal(words.say("done", { kind: "$& {n}", n: 2 }), "$& {n} is muted (2)");
  });

  test("can be muted, but for those that everybody is told of, and none", () => {
    assert.deepEqual(["ci.build", "account", ""].map((kind) => words.mayMute(kind)), [true, false, false]);
  });
});

test("a notification leads to what it is about, else to itself, and what is in no list to the list", () => {
  globalThis.location ??= { href: "https://site.example/devices/" };
  const counted = { epoch: "e1", head: 0, state_version: 0, unread: 0, unseen: 0 };
  const page = new Page({ user: "1", language: "en", words: {}, csrf: {}, urls: { inbox: "/inbox/" }, ...counted });
  assert.deepEqual(
    [
      { id: "a", seq: 1, url: "/x/" },
      { id: "b", seq: 1, url: "" },
      { id: "c", seq: null, url: "" },
      { id: "d", seq: null, url: "/y/" },
    ].map((item) => page.addressOf(item)),
    ["/x/", "/inbox/?at=b#usher-b", "/inbox/", "/y/"],
  );
});

describe("the title", () => {
  test("has the number in front, and is what it was without one", () => {
    assert.equal(titleWith("Inbox · Usher", 3, 3), "(3) Inbox · Usher");
    assert.equal(titleWith("(3) Inbox · Usher", 12, 3), "(12) Inbox · Usher");
    assert.equal(titleWith("(3) Inbox · Usher", 0, 3), "Inbox · Usher");
    assert.equal(titleWith("(2024) A year", 1, 0), "(1) (2024) A year", "what others have put there stays");
  });
});

describe("times", () => {
  const now = new Date(2026, 2, 1, 0, 30);
  const before = (minutes) => new Date(now.getTime() - minutes * 60_000);

  test("are told from now within a day, then by their date", () => {
    assert.equal(ago(before(0), now, "en"), "now");
    assert.equal(ago(before(-5), now, "en"), "now", "clocks differ");
    assert.equal(ago(before(5), now, "en"), "5 min. ago");
    assert.equal(ago(before(5 * 60 + 59), now, "en"), "5 hr. ago");
    assert.equal(ago(before(3 * 24 * 60), now, "en"), "Feb 26");
    assert.equal(ago(new Date(2025, 11, 24, 12), now, "en"), "Dec 24, 2025");
    assert.equal(ago(before(5), now, "de"), "vor 5 Min.");
    assert.equal(ago(before(5), now, "ar-u-nu-latn"), "قبل 5 دقائق");
  });

  test("belong to days of the calendar, not to spans of 24 hours", () => {
    const words = { language: "en", today: "Today", yesterday: "Yesterday" };
    assert.equal(dayName(before(20), now, words), "Today");
    assert.equal(dayName(before(40), now, words), "Yesterday");
    assert.equal(dayName(before(2 * 24 * 60), now, words), "Friday, February 27");
    assert.equal(dayName(new Date(2025, 11, 24), now, words), "Wednesday, December 24, 2025");
    assert.equal(daysBetween(new Date(2026, 2, 28, 23), new Date(2026, 2, 30, 1)), 2, "also when clocks are moved");
  });
});

describe("a key", () => {
  const plain = { key: "e", ctrlKey: false, metaKey: false, altKey: false, defaultPrevented: false };
  const key = (fields = {}) => ({ ...plain, ...fields });

  test("is for the page, unless somebody types or means something else by it", () => {
    assert.equal(isTyping(key(), null), false);
    assert.equal(isTyping(key(), { tagName: "LI" }), false);
    assert.equal(isTyping(key(), { tagName: "INPUT", type: "checkbox" }), false);
    for (const target of [{ tagName: "INPUT", type: "search" }, { tagName: "TEXTAREA" }, { tagName: "SELECT" }]) {
      assert.equal(isTyping(key(), target), true, target.tagName);
    }
    assert.equal(isTyping(key(), { tagName: "DIV", isContentEditable: true }), true);
    for (const modifier of ["ctrlKey", "metaKey", "altKey", "defaultPrevented"]) {
      assert.equal(isTyping(key({ [modifier]: true }), null), true, modifier);
    }
  });
});
