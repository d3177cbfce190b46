// The events of `codewords dev --json`: one JSON object a line.
"use strict";

/** Splits what comes into the events of whole lines. */
class EventLines {
  constructor() {
    this.rest = "";
  }

  /** @param {string} text @returns {Array<Record<string, any>>} */
  push(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    return lines.filter((line) => line.trim()).map((line) => {
      try {
        return JSON.parse(line);
      } catch {
        return { event: "text", message: line };
      }
    });
  }
}

/** The line of the log for an event. @param {Record<string, any>} event */
function lineOf(event) {
  if (event.event === "checked") return event.checks.map((/** @type {any} */ check) => `${check.status}: ${check.message}`).join("\n") || "All checks passed";
  return String(event.message ?? event.error?.message ?? event.text ?? event.event ?? "");
}

module.exports = { EventLines, lineOf };
