// The spans of a trace as the rows of a timeline.
import { nameOf } from "./names.js";
import { timeline as words } from "../strings.js";

/**
 * @typedef {object} Span  See `Span` in the API.
 * @property {string} id
 * @property {string} [parent_id]
 * @property {string} kind
 * @property {string} name
 * @property {number} start_ms
 * @property {number} [duration_ms]
 * @property {string} status
 * @property {string} [outcome]
 * @property {number} [http_status]
 * @property {number} [sent_bytes]
 * @property {number} [received_bytes]
 * @property {string} [model]
 * @property {number} [input_tokens]
 * @property {number} [output_tokens]
 * @property {number} [cost_usd]
 * @property {boolean} [cached]
 * @property {string} [run_id]
 * @property {string} [note]
 */

/** @typedef {{span: Span, depth: number, members?: Span[], path?: string}} SpanRow  With `members`, a group of equal calls, and their bars as one path. */

const PLATFORM = new Set(["run", "attempt", "queue", "sandbox", "readiness", "program", "response"]);

/** The rows of a trace: without the run itself, each as deep as its parents. @param {Span[]} spans @returns {SpanRow[]} */
export function rowsOf(spans) {
  /** @type {Map<string, number>} */
  const depths = new Map();
  const rows = [];
  for (const span of spans) {
    const depth = span.parent_id ? (depths.get(span.parent_id) ?? -1) + 1 : -1;
    depths.set(span.id, depth);
    if (depth >= 0 || span.kind !== "run") rows.push({ span, depth: Math.max(0, depth) });
  }
  return rows;
}

/** @param {Span} span */
export function nameOfSpan(span) {
  if (span.kind === "workflow" || (span.kind === "run" && span.parent_id)) return nameOf(span.name);
  return words.names[span.kind] && words.names[span.kind].startsWith(span.name) ? words.names[span.kind] : span.name;
}

/** The classes of a row: its kind, and what became of it. @param {Span} span */
export const classOf = (span) => [PLATFORM.has(span.kind) ? "platform" : span.kind, span.status, span.outcome ?? ""].join(" ");

/** When all of a trace is over, in milliseconds since the run was accepted. @param {{spans: Span[], duration_ms: number}} trace */
export const endOf = (trace) => trace.spans.reduce((end, span) => Math.max(end, span.start_ms + (span.duration_ms ?? 0)), Math.max(trace.duration_ms, 1));

/** Round times at which a scale is marked. @param {number} from @param {number} to @param {number} most */
export function ticksOf(from, to, most) {
  const rough = (to - from) / most;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1e-3)));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough) ?? 10 * power;
  const ticks = [];
  for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) ticks.push(tick);
  return ticks;
}
