"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { Checker, problemsOf } = require("../src/problems");

test("what failed, warns or notes is shown, at its place or at the header", () => {
  const found = problemsOf([
    { id: "parse", status: "passed", message: "Fine." },
    { id: "lint", status: "failed", message: "Undefined name `x`", line: 7, column: 5, fix: "Define it." },
    { id: "variables", status: "warning", message: "TOKEN has no value.", line: null, column: null },
    { id: "header", status: "note", message: "`a` does nothing.", line: 3 },
    { id: "starts", status: "skipped", message: "Not looked at." },
  ], 1);
  assert.deepEqual(found, [
    { line: 6, column: 4, message: "Undefined name `x`\nDefine it.", severity: "error", code: "lint" },
    { line: 1, column: 0, message: "TOKEN has no value.", severity: "warning", code: "variables" },
    { line: 2, column: 0, message: "`a` does nothing.", severity: "information", code: "header" },
  ]);
});

test("only the last of several changes is checked", async () => {
  /** @type {string[]} */
  const checked = [];
  const published = await new Promise((resolve) => {
    const checker = new Checker(async (text) => (checked.push(text), text), (_key, text) => resolve(text), { delay: 1 });
    for (const text of ["a", "ab", "abc"]) checker.changed("file", () => text);
  });
  assert.equal(published, "abc");
  assert.deepEqual(checked, ["abc"]);
});

test("a change cancels the check under way, whose result is never shown", async () => {
  /** @type {string[]} */
  const published = [];
  /** @type {Array<() => void>} */
  const answers = [];
  /** @type {AbortSignal[]} */
  const signals = [];
  let asked = () => {};
  const checker = new Checker((text, signal) => new Promise((resolve) => {
    signals.push(signal);
    answers.push(() => resolve(text));
    asked();
  }), (_key, text) => published.push(text), { delay: 0 });
  const next = () => new Promise((resolve) => (asked = () => resolve(undefined)));
  let waiting = next();
  checker.changed("file", () => "old");
  await waiting;
  waiting = next();
  checker.changed("file", () => "new");
  await waiting;
  answers.forEach((answer) => answer());
  await new Promise(setImmediate);
  assert.deepEqual(signals.map((signal) => signal.aborted), [true, false]);
  assert.deepEqual(published, ["new"]);
});

test("files are checked apart, and a failure is told unless it was cancelled", async () => {
  /** @type {unknown[]} */
  const failed = [];
  /** @type {string[]} */
  const published = [];
  await new Promise((resolve) => {
    const done = () => failed.length + published.length === 2 && resolve(undefined);
    const checker = new Checker(async (text) => {
      if (text === "bad") throw new Error("away");
      return text;
    }, (key) => (published.push(key), done()), { delay: 0, failed: (error) => (failed.push(error), done()) });
    checker.changed("one", () => "bad");
    checker.changed("two", () => "good");
    checker.changed("three", () => "bad");
    checker.forget("three");
  });
  assert.deepEqual(published, ["two"]);
  assert.equal(failed.length, 1);
});
