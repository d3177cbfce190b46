// What can be said of a run's record: is it going on, how long did it take, who started it.
import { STATUS } from "../strings.js";
import { now } from "./text.js";

/** @typedef {Record<string, any>} RunRecord The record of `GET /request/{run_id}`. */

const ENDED = new Set(["succeeded", "failed", "timed_out", "cancelled", "interrupted"]);

/** @param {RunRecord} run */
export const isActive = (run) => !ENDED.has(run.status);

/** @param {string} status */
export const isBad = (status) => ["failed", "timed_out", "interrupted"].includes(status);

/** Milliseconds from its start to its end, or until now. @param {RunRecord} run */
export function elapsed(run) {
  const start = run.startedAt ?? run.createdAt;
  if (!run.completedAt && !run.startedAt) return null;
  const end = run.completedAt ? Date.parse(run.completedAt) : now.value;
  return Math.max(0, end - Date.parse(start));
}

/** @param {RunRecord} run */
export function triggerOf(run) {
  if (run.trigger) return typeof run.trigger === "string" ? run.trigger : run.trigger.kind;
  if (run.scheduledRequestId) return "schedule";
  return run.parentRequestId ? "run" : "caller";
}

/** Its first arguments, as one line. @param {RunRecord} run */
export function firstArguments(run) {
  if (typeof run.inputPreview === "string") return run.inputPreview;
  const query = run.requestPath && run.requestPath !== "/" ? run.requestPath : "";
  return [query, argumentsOf(run.requestContent)].filter(Boolean).join(" ");
}

/** @param {string | null} content */
function argumentsOf(content) {
  if (!content) return "";
  try {
    const value = JSON.parse(content);
    if (value && typeof value === "object" && !Array.isArray(value)) {
      return Object.entries(value).map(([name, argument]) => `${name}: ${typeof argument === "string" ? argument : JSON.stringify(argument)}`).join(", ");
    }
  } catch {
    // Text that is not JSON, or whose end was not kept, is shown as it is.
  }
  return content.slice(0, 300).replace(/\s+/g, " ");
}

/** @param {string} status */
export const statusWord = (status) => STATUS[status] ?? status;
