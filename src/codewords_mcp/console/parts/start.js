// Starting a run; of another owner's workflow after its person's yes.
import { call } from "../api.js";

/** @typedef {import("./run_facts.js").RunRecord} RunRecord */

/**
 * Do what runs or schedules a workflow. What it asks for is shown, and done after a yes.
 * @template T
 * @param {string} id
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withAgreement(id, work) {
  try {
    return await work();
  } catch (error) {
    if (/** @type {any} */ (error).code !== "consent_needed") throw error;
    const { agree } = await import("./consent.js");
    await agree(id, error);
    return work();
  }
}

/** Start a run in the background; its id. @param {string} id @param {string} method @param {string} path  With its query, from "/". @param {import("../api.js").Options} options @returns {Promise<string>} */
export const start = (id, method, path, options) => withAgreement(id, async () => (await call(method, `/run_async/${encodeURIComponent(id)}${path}`, options)).request_id);

/**
 * Ask the same again, or the same with another input; the id of the new run.
 * @param {RunRecord} run @param {{content?: string, dry?: boolean}} [options]
 */
export function repeat(run, { content = run.requestContent, dry = false } = {}) {
  const method = run.requestMethod ?? "POST";
  const bodiless = method === "GET" || method === "HEAD";
  const headers = {
    ...(content ? { "Content-Type": run.requestContentType ?? "application/json" } : {}),
    ...(dry ? { "Codewords-Dry-Run": "yes" } : {}),
  };
  return start(run.serviceId, method, (run.requestPath ?? "/").replace(/^\/?/, "/"), { body: bodiless ? undefined : content ?? "", headers });
}
