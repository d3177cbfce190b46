// Problems of a workflow while it is edited: what the checks found, and when they are asked.
"use strict";

/** @typedef {{id: string, status: string, message: string, line?: number | null, column?: number | null, fix?: string | null}} Check */
/** @typedef {{line: number, column: number, message: string, severity: "error" | "warning" | "information", code: string}} Problem */

const SEVERITIES = /** @type {const} */ ({ failed: "error", warning: "warning", note: "information" });

/** The checks that a person should see; lines and columns from 0, `home` is the line of those without one. @param {readonly Check[]} checks @param {number} home @returns {Problem[]} */
function problemsOf(checks, home) {
  return checks.flatMap((check) => {
    const severity = SEVERITIES[/** @type {keyof SEVERITIES} */ (check.status)];
    if (!severity) return [];
    const message = check.fix ? `${check.message}\n${check.fix}` : check.message;
    return [{ line: check.line ? check.line - 1 : home, column: Math.max(0, (check.column ?? 1) - 1), message, severity, code: check.id }];
  });
}

const DELAY_MS = 120;

/**
 * Checks each text a moment after its last change; a newer change cancels what is under way.
 * @template T
 */
class Checker {
  /**
   * @param {(text: string, signal: AbortSignal) => Promise<T>} check
   * @param {(key: string, result: T) => void} publish
   * @param {{delay?: number, failed?: (error: unknown) => void}} [options]
   */
  constructor(check, publish, { delay = DELAY_MS, failed = () => {} } = {}) {
    this.check = check;
    this.publish = publish;
    this.delay = delay;
    this.failed = failed;
    /** @type {Map<string, {timer: NodeJS.Timeout, abort: AbortController}>} */
    this.pending = new Map();
  }

  /** A text has changed. @param {string} key @param {() => string} read */
  changed(key, read) {
    this.forget(key);
    const abort = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const result = await this.check(read(), abort.signal);
        if (!abort.signal.aborted) this.publish(key, result);
      } catch (error) {
        if (!abort.signal.aborted) this.failed(error);
      }
    }, this.delay);
    this.pending.set(key, { timer, abort });
  }

  /** A text is gone: nothing more is said of it. @param {string} key */
  forget(key) {
    const before = this.pending.get(key);
    if (!before) return;
    clearTimeout(before.timer);
    before.abort.abort();
    this.pending.delete(key);
  }

  dispose() {
    for (const key of [...this.pending.keys()]) this.forget(key);
  }
}

module.exports = { Checker, problemsOf, DELAY_MS };
