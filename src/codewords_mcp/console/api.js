// The runtime's HTTP API: requests, streams, and the one connection for events.
import { ApiError } from "./api_error.js";
import { signal } from "./ui.js";

const HEADERS = { "X-Codewords-Console": "1" };

/** How many requests are under way. */
export const busy = signal(0);

/** `on`: events come; `lost`: the runtime doesn't answer; `signed-out`: the session has ended. */
export const connection = signal(/** @type {"on" | "lost" | "signed-out"} */ ("on"));

export { ApiError };

/**
 * @typedef {object} Options
 * @property {unknown} [body]  Sent as JSON; a string or a file is sent as it is.
 * @property {Record<string, unknown>} [query]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 * @property {boolean} [quiet]  Show no progress.
 * @property {boolean} [any]  Take an answer of any status.
 */

/** @param {string} path @param {Record<string, unknown>} [query] */
function url(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? `${path}?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]))}` : path;
}

/** Send a request; the response, or an ApiError. @param {string} method @param {string} path @param {Options} [options] */
export async function send(method, path, { body, query, headers = {}, signal: abort, quiet, any } = {}) {
  const json = body !== undefined && typeof body !== "string" && !(body instanceof Blob);
  if (!quiet) busy.value += 1;
  try {
    const response = await fetch(url(path, query), {
      method,
      signal: abort,
      credentials: "same-origin",
      headers: { ...HEADERS, ...(json ? { "Content-Type": "application/json" } : {}), ...headers },
      body: json ? JSON.stringify(body) : /** @type {string | Blob | undefined} */ (body),
    });
    if (!response.ok && !any) throw new ApiError(response.status, await jsonOf(response));
    return response;
  } catch (error) {
    throw explained(error);
  } finally {
    if (!quiet) busy.value -= 1;
  }
}

/** @param {unknown} error */
function explained(error) {
  if (error instanceof ApiError && error.status === 401) connection.value = "signed-out";
  if (error instanceof TypeError) {
    if (connection.peek() === "on") {
      connection.value = "lost";
      // The stream of events may not notice by itself, and would not tell what was missed.
      listenSoon();
    }
    return new ApiError(0, { error: { code: "unreachable", message: "The runtime does not answer.", hint: "This page goes on when it is back." } });
  }
  return error;
}

/** @param {Response} response */
async function jsonOf(response) {
  const text = await response.text();
  try {
    return JSON.parse(text || "null");
  } catch {
    return { detail: text.slice(0, 500) };
  }
}

/** The JSON of an answer. @param {string} method @param {string} path @param {Options} [options] @returns {Promise<any>} */
export const call = async (method, path, options) => jsonOf(await send(method, path, options));

/** @param {string} path @param {Record<string, unknown>} [query] @param {Options} [options] */
export const get = (path, query, options) => call("GET", path, { ...options, query });

/** @param {string} path @param {unknown} [body] @param {Options} [options] */
export const post = (path, body, options) => call("POST", path, { ...options, body });

/**
 * The lines of an NDJSON answer, in batches as they come. An empty line is a sign of life and left out.
 * @param {string} method @param {string} path @param {Options} options
 * @returns {AsyncGenerator<any[]>}
 */
export async function* lines(method, path, options) {
  const response = await send(method, path, { quiet: true, ...options });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      const found = parts.filter(Boolean).map((line) => JSON.parse(line));
      if (found.length) yield found;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * Call what takes a while; its result.
 * @param {string} path @param {unknown} body
 * @param {(progress: {done: number, total: number, message: string}) => void} onProgress
 * @param {AbortSignal} [abort]
 */
export async function long(path, body, onProgress, abort) {
  const headers = { Accept: "application/x-ndjson" };
  for await (const batch of lines("POST", path, { body, headers, signal: abort })) {
    for (const line of batch) {
      if (line.progress) onProgress(line.progress);
      else if (line.error) throw new ApiError(line.status ?? 500, line);
      else if ("result" in line) return line.result;
    }
  }
  throw new ApiError(0, { error: { message: "The runtime ended before this was done.", hint: "Try again." } });
}

/** Save an answer as a file: a link could not send the header of the session. @param {string} path @param {string} name */
export async function download(path, name) {
  const address = URL.createObjectURL(await (await send("GET", path)).blob());
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** @typedef {{name: string, data: any}} Change One event; `name` is `again` when the connection is there, or there again. */

const NAMES = /** @type {const} */ (["run", "runs", "workflows", "drafts", "schedules", "secrets", "webhooks", "inbox", "sessions"]);
/** @typedef {(typeof NAMES)[number]} ChangeName A kind of change that the runtime tells. */
/** @type {Set<(change: Change) => void>} */
const listeners = new Set();
/** @type {EventSource | null} */
let source = null;

/** Hear of changes; returns how to stop. @param {(change: Change) => void} listener */
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** @param {Change} change */
const tell = (change) => listeners.forEach((listener) => listener(change));

let timer = 0;

function listenSoon() {
  clearTimeout(timer);
  timer = setTimeout(listen, 2000);
}

/** Whether the runtime answers at all. */
export const answers = () => get("/sessions", {}, { quiet: true }).then(() => true, (error) => error.status !== 0);

/** Wait until the connection for events is there again. @returns {Promise<void>} */
export const comesBack = () => new Promise((resolve) => {
  const stop = onChange(({ name }) => {
    if (name === "again") resolve(void stop());
  });
});

/** An EventSource tells no status, so a request learns whether somebody is signed in. */
async function askWhy() {
  await answers();
  if (connection.peek() !== "signed-out") listenSoon();
}

// The person is back from signing in, in another tab.
addEventListener("focus", () => connection.peek() === "signed-out" && listen());

// A page that nobody sees doesn't keep a runtime awake that a chat host started; it reads anew what it missed.
document.addEventListener("visibilitychange", listen);

/** Open the connection for events, and keep it open while the page is seen. */
export function listen() {
  clearTimeout(timer);
  source?.close();
  source = null;
  if (document.visibilityState === "hidden") return;
  source = new EventSource("/events");
  source.onopen = () => {
    connection.value = "on";
    // What changed before the connection was there is heard of by loading it again, the first time too.
    tell({ name: "again", data: {} });
  };
  source.onerror = () => {
    if (connection.peek() === "on") connection.value = "lost";
    // A browser gives up for good on an answer that is no stream: of a runtime that starts, or after a sign-out.
    if (source?.readyState === EventSource.CLOSED) askWhy();
  };
  source.addEventListener("signed-out", () => (source?.close(), (connection.value = "signed-out")));
  for (const name of NAMES) {
    source.addEventListener(name, (event) => tell({ name, data: JSON.parse(event.data) }));
  }
}
