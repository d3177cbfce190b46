// The HTTP API of the runtime: the home's own, or one elsewhere.
"use strict";
const { CodewordsError } = require("./command");

/** @typedef {{url: string, key: string}} Endpoint */
/** @typedef {{body?: unknown, raw?: string | Uint8Array, query?: Record<string, unknown>, headers?: Record<string, string>, signal?: AbortSignal}} Options */

const LOST = new Set(["ECONNREFUSED", "ECONNRESET", "UND_ERR_SOCKET", "EPIPE"]);

class Runtime {
  /** @param {() => Promise<Endpoint>} find  Finds the runtime, and starts it where none runs. */
  constructor(find) {
    this.find = find;
    /** @type {Promise<Endpoint> | null} */
    this.found = null;
  }

  /** Address and key; asked for once until they do not work any more. @returns {Promise<Endpoint>} */
  endpoint() {
    const finding = (this.found ??= this.find());
    finding.catch(() => this.forget(finding));
    return finding;
  }

  /** @param {Promise<Endpoint> | null} [which]  Only where it is still this one. */
  forget(which = this.found) {
    if (this.found === which) this.found = null;
  }

  /** Send a request; a runtime that has ended is started again, once. @param {string} method @param {string} path @param {Options} [options] @returns {Promise<Response>} */
  async send(method, path, options = {}) {
    const finding = this.endpoint();
    try {
      return await this.request(await finding, method, path, options);
    } catch (error) {
      const cause = /** @type {any} */ (error)?.cause?.code;
      if (!LOST.has(cause)) throw error;
      this.forget(finding);
      if (method !== "GET" && cause !== "ECONNREFUSED") throw error;
      return this.request(await this.endpoint(), method, path, options);
    }
  }

  /** @param {Endpoint} endpoint @param {string} method @param {string} path @param {Options} options */
  async request(endpoint, method, path, { body, raw, query = {}, headers = {}, signal }) {
    const address = new URL(endpoint.url.replace(/\/$/, "") + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== null && value !== "") address.searchParams.set(name, String(value));
    }
    return fetch(address, {
      method,
      signal,
      redirect: "manual",
      headers: {
        ...(endpoint.key ? { Authorization: `Bearer ${endpoint.key}` } : {}),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? /** @type {any} */ (raw) : JSON.stringify(body),
    });
  }

  /** The JSON of an answer. @param {string} method @param {string} path @param {Options} [options] @returns {Promise<any>} @throws {CodewordsError} */
  async call(method, path, options) {
    const response = await this.send(method, path, options);
    const value = jsonOf(await response.text());
    if (!response.ok) throw new CodewordsError(value?.error ?? { message: `The runtime answered ${response.status}.` }, response.status);
    return value;
  }

  /** @param {string} path @param {Record<string, unknown>} [query] */
  get(path, query) {
    return this.call("GET", path, { query });
  }

  /** The named changes of the home as they come, until the signal. @param {AbortSignal} signal @returns {AsyncGenerator<string>} */
  async *changes(signal) {
    const response = await this.send("GET", "/events", { signal, headers: { Accept: "text/event-stream" } });
    if (!response.ok || !response.body) return;
    let rest = "";
    for await (const part of response.body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + part).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.startsWith("event:")) yield line.slice(6).trim();
    }
  }
}

/** @param {string} text */
function jsonOf(text) {
  try {
    return JSON.parse(text || "null");
  } catch {
    return { error: { message: text.slice(0, 500) } };
  }
}

module.exports = { Runtime, jsonOf };
