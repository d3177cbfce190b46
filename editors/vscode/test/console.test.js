"use strict";
const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const http = require("node:http");
const Module = require("node:module");
const path = require("node:path");
const test = require("node:test");
const vm = require("node:vm");
const { Runtime } = require("../src/runtime");

/** The module, which asks for `vscode` where it is loaded. */
function consoleModule() {
  const file = path.join(__dirname, "../src/console.js");
  const found = { exports: /** @type {any} */ ({}) };
  const load = Module.createRequire(file);
  vm.runInThisContext(Module.wrap(readFileSync(file, "utf8")), { filename: file })(found.exports, (/** @type {string} */ name) => (name === "vscode" ? {} : load(name)), found, file, path.dirname(file));
  return found.exports;
}

const { Bridge, importsOf, themed } = consoleModule();

test("the scripts that a script imports are found", () => {
  assert.deepEqual(importsOf('import{a}from"./app.js";const b=()=>import("./run.js");import "./vendor/codemirror.js"'), ["app.js", "run.js", "vendor/codemirror.js"]);
});

test("styles are of the editor's theme, not of the system's", () => {
  const css = ":root { color-scheme: light dark; } @media (prefers-color-scheme: dark) { a {} }";
  assert.equal(themed(css, true), ":root { color-scheme: dark; } @media (min-width: 0) { a {} }");
  assert.equal(themed(css, false), ":root { color-scheme: light; } @media (max-width: 0) { a {} }");
});

test("requests of the page go to the runtime's paths only, with the key and few headers", async (context) => {
  /** @type {any[]} */
  const asked = [];
  const server = http.createServer((request, response) => {
    asked.push([request.method, request.url, request.headers.authorization, request.headers.cookie, request.headers["x-codewords-console"]]);
    response.end("part");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  context.after(() => (server.closeAllConnections(), server.close()));
  const url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
  /** @type {any[]} */
  const told = [];
  const bridge = new Bridge(new Runtime(async () => ({ url, key: "k" })), (/** @type {any} */ message) => told.push(message));
  await bridge.fetch({ id: 1, method: "GET", path: "/runs?limit=1", headers: { Authorization: "Bearer other", Cookie: "a=b", "X-Codewords-Console": "1" } });
  for (const wrong of ["https://evil.example/", "//evil.example/", "/\\evil.example", "runs"]) await bridge.fetch({ id: 2, method: "GET", path: wrong });
  assert.deepEqual(asked, [["GET", "/runs?limit=1", "Bearer k", undefined, "1"]]);
  assert.deepEqual(told.slice(0, 3).map((one) => one.type), ["head", "part", "end"]);
  assert.deepEqual(told.slice(3).map((one) => one.type), ["failed", "failed", "failed", "failed"]);
});

test("a request that the page ends is ended, and nothing more is told of it", async (context) => {
  const server = http.createServer((_request, response) => void response.write("first"));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  context.after(() => (server.closeAllConnections(), server.close()));
  const url = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (server.address()).port}`;
  /** @type {string[]} */
  const told = [];
  const bridge = new Bridge(new Runtime(async () => ({ url, key: "" })), (/** @type {any} */ message) => {
    told.push(message.type);
    if (message.type === "part") bridge.abort(7);
  });
  await bridge.fetch({ id: 7, method: "GET", path: "/events" });
  assert.deepEqual(told, ["head", "part"]);
});
