// The lines of a run's log: followed while it grows, bounded, and filtered.
import { lines } from "../api.js";
import { signal } from "../ui.js";
import { uncoloured } from "../format.js";

/**
 * @typedef {object} Line
 * @property {number} at  Milliseconds of the epoch.
 * @property {string} level  Empty where the line says none.
 * @property {string} stream
 * @property {string} text
 * @property {Record<string, unknown> | null} fields  Of a structured line, without its text.
 */

const MOST = 200_000;
/** How many of the first lines go when there are too many. */
const DROP = 20_000;
/** The newest lines, which come first, and how many older ones at a time. */
const TAIL = 2000;
const OLDER = 10_000;
const RETRY_MS = 1000;
const RANKS = /** @type {Record<string, number>} */ ({ debug: 0, info: 1, warning: 2, error: 3, critical: 4 });
const TEXTS = ["event", "message", "msg"];
const LEFT_OUT = new Set([...TEXTS, "level", "timestamp"]);

/** @param {any} record @returns {Line} */
function lineOf(record) {
  const { createdAt, level, stream, message, fields } = record;
  const key = fields && TEXTS.find((name) => typeof fields[name] === "string");
  const rest = fields && Object.fromEntries(Object.entries(fields).filter(([name]) => !LEFT_OUT.has(name)));
  return { at: Date.parse(createdAt), level: level ?? "", stream, text: key ? fields[key] : fields ? "" : uncoloured(message), fields: rest ?? null };
}

export class LogStore {
  constructor() {
    /** @type {Line[]} */
    this.lines = [];
    /** Indexes of the lines that match; null while all do. @type {number[] | null} */
    this.matching = null;
    this.dropped = 0;
    /** Changes with each batch of lines, and each filter. */
    this.version = signal(0);
    this.state = signal(/** @type {"open" | "ended" | "broken"} */ ("open"));
    this._level = "";
    this._text = "";
    this._last = "";
    this._first = "";
    /** Whether there are older lines than those here. */
    this.older = signal(false);
    this._loading = false;
    this._begun = false;
  }

  get count() {
    return this.matching ? this.matching.length : this.lines.length;
  }

  /** The line at a place of what matches. @param {number} index */
  at(index) {
    return this.lines[this.matching ? this.matching[index] : index];
  }

  /** The place of the first matching line at this time or later. @param {number} time */
  placeAt(time) {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at(middle).at < time) low = middle + 1;
      else high = middle;
    }
    return Math.min(low, this.count - 1);
  }

  /** @param {string} level @param {string} text */
  filter(level, text) {
    this._level = level;
    this._text = text.toLowerCase();
    this._match();
    this.version.value += 1;
  }

  /** Read the log to its end, also over breaks of the connection. @param {string} run @param {AbortSignal} abort */
  async follow(run, abort) {
    while (!abort.aborted) {
      try {
        for await (const batch of lines("GET", `/logs/${encodeURIComponent(run)}`, { query: this._last ? { after: this._last } : { tail: TAIL }, signal: abort })) {
          if (abort.aborted) return;
          this._add(batch);
        }
        this.state.value = "ended";
        return;
      } catch (error) {
        if (abort.aborted) return;
        this.state.value = "broken";
        if (/** @type {any} */ (error).status >= 400) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** Load older lines; how many of them match. @param {string} run @param {AbortSignal} [abort] */
  async loadOlder(run, abort) {
    if (this._loading || !this.older.peek() || this.lines.length + OLDER > MOST) return 0;
    this._loading = true;
    try {
      const found = [];
      const query = { tail: OLDER, before: this._first };
      for await (const batch of lines("GET", `/logs/${encodeURIComponent(run)}`, { query, signal: abort })) found.push(...batch);
      if (found.length) this._first = found[0].createdAt;
      const count = this.count;
      this.lines = [...found.map(lineOf), ...this.lines];
      this._match();
      this.older.value = found.length === OLDER;
      this.version.value += 1;
      return this.count - count;
    } catch {
      return 0;
    } finally {
      this._loading = false;
    }
  }

  /** @param {any[]} batch */
  _add(batch) {
    this._first ||= batch[0].createdAt;
    this._last = batch[batch.length - 1].createdAt;
    for (const record of batch) {
      const line = lineOf(record);
      this.lines.push(line);
      if (this.matching && this._matches(line)) this.matching.push(this.lines.length - 1);
    }
    if (!this._begun && this.lines.length >= TAIL) {
      this._begun = true;
      this.older.value = true;
    }
    if (this.lines.length > MOST) this._drop();
    this.state.value = "open";
    this.version.value += 1;
  }

  _drop() {
    this.older.value = false;
    this.lines.splice(0, DROP);
    this.dropped += DROP;
    this._match();
  }

  _match() {
    if (!this._level && !this._text) {
      this.matching = null;
      return;
    }
    this.matching = [];
    for (let index = 0; index < this.lines.length; index += 1) {
      if (this._matches(this.lines[index])) this.matching.push(index);
    }
  }

  /** A line that says no level counts as info, as in the API. @param {Line} line */
  _matches(line) {
    if (this._level && (RANKS[line.level] ?? 1) < RANKS[this._level]) return false;
    if (!this._text || line.text.toLowerCase().includes(this._text)) return true;
    return line.fields !== null && JSON.stringify(line.fields).toLowerCase().includes(this._text);
  }
}
