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

/** @param {string} status */
export const statusWord = (status) => STATUS[status] ?? status;

/** Whether the whole input of a run is known, so that it can be asked again. @param {RunRecord} run */
export const canRepeat = (run) =>
  Boolean(run.serviceId) && !isActive(run) && !run.requestTruncated && (run.requestContent !== null || run.requestBytes === 0);
