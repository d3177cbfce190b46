// Running a recorded request again.
import { call } from "../api.js";
import { isActive } from "./run_facts.js";

/** @typedef {import("./run_facts.js").RunRecord} RunRecord */

/** Whether the whole input of a run is known. @param {RunRecord} run */
export const canRepeat = (run) =>
  Boolean(run.serviceId) && !isActive(run) && !run.requestTruncated && (run.requestContent !== null || run.requestBytes === 0);

/**
 * Ask the same again, or the same with another input; the id of the new run.
 * @param {RunRecord} run @param {{content?: string, dry?: boolean}} [options]
 * @returns {Promise<string>}
 */
export async function repeat(run, { content = run.requestContent, dry = false } = {}) {
  const path = (run.requestPath ?? "/").replace(/^\//, "");
  const headers = {
    ...(content ? { "Content-Type": run.requestContentType ?? "application/json" } : {}),
    ...(dry ? { "Codewords-Dry-Run": "yes" } : {}),
  };
  const method = run.requestMethod ?? "POST";
  const { request_id } = await callWith(method, `/run_async/${encodeURIComponent(run.serviceId)}/${path}`, content, headers);
  return request_id;
}

/** @param {string} method @param {string} path @param {string | null} content @param {Record<string, string>} headers */
function callWith(method, path, content, headers) {
  const bodiless = method === "GET" || method === "HEAD";
  return call(method, path, { body: bodiless ? undefined : content ?? "", headers });
}
