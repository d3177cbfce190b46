// What stands for the console's connection to the runtime in a card: each request is a tool call by way of the host.
import { ApiError } from "../api_error.js";
import { signal } from "../ui.js";
import { cards as words } from "./strings.js";
import { consolePage, openLink } from "./links.js";
import { abilities, request, state } from "./host.js";

export { ApiError };

const PAUSE_MS = 700;
const RUN = /^\/run(?:_async)?\/([^/?]+)(\/.*)?$/;
const CANCEL = /^\/runs\/([^/]+)\/cancel$/;

/** How many requests are under way. */
export const busy = signal(0);

/** Call a tool; its result, or an ApiError in the runtime's sentence. @param {string} name @param {Record<string, any>} args */
export async function callTool(name, args) {
  if (!abilities.peek().serverTools) throw new ApiError(0, { error: { code: "no_tools", message: words.noTools, hint: words.inConsole } });
  let found;
  try {
    found = await request("tools/call", { name, arguments: args });
  } catch (error) {
    const { message } = /** @type {any} */ (error);
    throw new ApiError(0, { error: { code: "refused", message: words.refused(String(message ?? "")), hint: words.inConsole } });
  }
  if (!found.isError) return found;
  const text = (found.content ?? []).map((/** @type {any} */ one) => one.text ?? "").join("\n");
  throw new ApiError(400, { error: found._meta?.["codewords/error"] ?? { message: text } });
}

/** One answer of the runtime's API. @param {string} path @param {Record<string, any>} query */
async function read(path, query) {
  const asked = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => [name, String(value)]));
  const name = /^\/(workflows|drafts|waiting)\b/.test(path) ? "read_workflow_card" : "read_run_card";
  const { structuredContent: answer } = await callTool(name, { path, query: asked });
  if (answer.status >= 400) throw new ApiError(answer.status, answer.body);
  return answer;
}

/**
 * @param {string} method @param {string} path
 * @param {{body?: any, query?: Record<string, any>, headers?: Record<string, string>}} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, { body, query = {}, headers = {} } = {}) {
  const [, workflow, rest] = RUN.exec(path) ?? [];
  if (workflow) return run(method, decodeURIComponent(workflow), rest || "/", body, "Codewords-Dry-Run" in headers);
  if (method === "GET") return (await read(path, query)).body;
  const [, cancelled] = CANCEL.exec(path) ?? [];
  if (cancelled) return (await callTool("cancel_run", { run_id: cancelled })).structuredContent;
  // All else is a person's to say, and is asked and answered in the console.
  openLink(consolePage.peek());
  throw new ApiError(0, { error: { code: "in_console", message: words.asked, hint: "" } });
}

/** Run a workflow as a model may: whatever it asks, a person is asked. @param {string} method @param {string} workflow_id @param {string} path @param {any} body @param {boolean} dry */
async function run(method, workflow_id, path, body, dry) {
  const input = typeof body === "string" ? parsed(body) : body;
  const { structuredContent } = await callTool("run_workflow", { workflow_id, path, method, wait_seconds: 0, ...(input === undefined ? {} : { input }), ...(dry ? { dry_run: true } : {}) });
  return { request_id: structuredContent.run_id };
}

/** @param {string} text */
function parsed(text) {
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** @param {string} path @param {Record<string, any>} [query] @param {object} [options] */
export const get = (path, query, options) => call("GET", path, { ...options, query });

/** @param {string} path @param {any} [body] */
export const post = (path, body) => call("POST", path, { body });

/**
 * The lines of a log, in batches as they come.
 * @param {string} _method @param {string} path @param {{query?: Record<string, any>, signal?: AbortSignal}} options
 * @returns {AsyncGenerator<any[]>}
 */
export async function* lines(_method, path, { query = {}, signal: abort }) {
  let { after } = query;
  while (!abort?.aborted && state.peek() !== "over") {
    const { body, ended } = await read(path, { ...query, after });
    const found = String(body ?? "").split("\n").filter(Boolean).map((line) => JSON.parse(line));
    if (found.length) {
      after = found[found.length - 1].createdAt;
      yield found;
    } else if (!ended) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    if (ended) return;
  }
}

/** A card saves no file: the console does. */
export async function download() {
  openLink(consolePage.peek());
}

/** No events come to a card. @returns {() => void} */
export const onChange = () => () => {};

/** Files are sent in the console. @returns {Promise<any>} */
export const send = () => call("PUT", "/");
