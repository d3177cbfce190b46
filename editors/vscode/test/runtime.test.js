"use strict";
const assert = require("node:assert/strict");
const { chmod, mkdtemp, rm, writeFile } = require("node:fs/promises");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { callJson, candidates, CodewordsError, environment, findProgram, NotInstalled } = require("../src/command");
const { EventLines, lineOf } = require("../src/events");
const { Runtime } = require("../src/runtime");

const SETTINGS = { command: "", home: "", runtimeUrl: "", folders: [] };

/** A server of this machine, ended with the test. @param {test.TestContext} context @param {http.RequestListener} answer @returns {Promise<string>} */
async function served(context, answer) {
  const server = http.createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  context.after(() => (server.closeAllConnections(), server.close()));
  const address = /** @type {import("node:net").AddressInfo} */ (server.address());
  return `http://127.0.0.1:${address.port}`;
}

/** A program with this text. @param {test.TestContext} context @param {string} text */
async function program(context, text) {
  const folder = await mkdtemp(path.join(os.tmpdir(), "codewords-"));
  context.after(() => rm(folder, { recursive: true }));
  const file = path.join(folder, "codewords");
  await writeFile(file, `#!/bin/sh\n${text}\n`);
  await chmod(file, 0o755);
  return file;
}

test("a request has the key and its answer is JSON", async (context) => {
  const url = await served(context, (request, response) => response.end(JSON.stringify({ key: request.headers.authorization, path: request.url })));
  const runtime = new Runtime(async () => ({ url, key: "k" }));
  assert.deepEqual(await runtime.get("/runs", { limit: 3, none: undefined }), { key: "Bearer k", path: "/runs?limit=3" });
});

test("an error is told in the words of the runtime", async (context) => {
  const url = await served(context, (_request, response) => {
    response.statusCode = 404;
    response.end('{"error": {"code": "not_found", "message": "There is none.", "hint": "List them."}}');
  });
  const runtime = new Runtime(async () => ({ url, key: "" }));
  await assert.rejects(runtime.get("/x"), (error) => error instanceof CodewordsError && error.code === "not_found" && error.hint === "List them." && error.status === 404);
});

test("a runtime that has ended is found again, once for all requests", async (context) => {
  const url = await served(context, (_request, response) => response.end("{}"));
  const gone = http.createServer();
  await new Promise((resolve) => gone.listen(0, "127.0.0.1", () => resolve(undefined)));
  const dead = `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (gone.address()).port}`;
  await new Promise((resolve) => gone.close(resolve));
  let found = 0;
  const runtime = new Runtime(async () => ({ url: (found += 1) === 1 ? dead : url, key: "" }));
  await Promise.all([runtime.get("/a"), runtime.call("POST", "/b", { body: {} })]);
  assert.equal(found, 2);
});

test("what cannot be found is looked for again by the next request", async (context) => {
  const url = await served(context, (_request, response) => response.end("{}"));
  let tries = 0;
  const runtime = new Runtime(async () => {
    tries += 1;
    if (tries === 1) throw new NotInstalled();
    return { url, key: "" };
  });
  await assert.rejects(runtime.get("/a"), NotInstalled);
  await runtime.get("/a");
});

test("changes are the names of events as they come", async (context) => {
  const url = await served(context, (_request, response) => {
    response.write(": hello\n\nevent: ru");
    response.end("n\ndata: {}\n\nevent: inbox\ndata: {}\n\n");
  });
  const names = [];
  for await (const name of new Runtime(async () => ({ url, key: "" })).changes(new AbortController().signal)) names.push(name);
  assert.deepEqual(names, ["run", "inbox"]);
});

test("the program is the one that is named, else that of the folder, the path, the person", async (context) => {
  const file = await program(context, "true");
  const named = { ...SETTINGS, command: file };
  assert.equal(await findProgram(named), file);
  assert.deepEqual(candidates(named, "codewords-mcp"), [path.join(path.dirname(file), "codewords-mcp")]);
  await assert.rejects(findProgram({ ...SETTINGS, command: "/nowhere/codewords" }), NotInstalled);
  const places = candidates({ ...SETTINGS, folders: ["/folder"] }, "codewords", { PATH: "/usr/bin:relative" });
  assert.deepEqual(places.map((place) => path.dirname(place)), ["/folder/.venv/bin", "/usr/bin", path.join(os.homedir(), ".local/bin")]);
});

test("the program's JSON is its answer, its error an error", async (context) => {
  assert.deepEqual(await callJson(await program(context, 'echo "{\\"arguments\\": \\"$*\\"}"'), ["list"]), { arguments: "list --json" });
  const failing = await program(context, `echo '{"error": {"code": "consent_needed", "message": "May it?", "asks": ["a host"]}}'; exit 2`);
  await assert.rejects(callJson(failing, ["deploy"]), (error) => error instanceof CodewordsError && error.code === "consent_needed" && error.body.asks.length === 1);
  await assert.rejects(callJson(await program(context, "echo oh >&2; exit 3"), ["list"]), /oh/);
  await assert.rejects(callJson("/nowhere/codewords", ["list"]), NotInstalled);
});

test("a key goes to a runtime elsewhere only", () => {
  assert.deepEqual(environment(SETTINGS, "k"), {});
  assert.deepEqual(environment({ ...SETTINGS, runtimeUrl: "https://r.example" }, "k"), { CODEWORDS_RUNTIME_URL: "https://r.example", CODEWORDS_API_KEY: "k" });
});

test("events are whole lines", () => {
  const lines = new EventLines();
  assert.deepEqual(lines.push('{"event": "served"}\n{"event": "de'), [{ event: "served" }]);
  assert.deepEqual(lines.push('bug", "port": 5}\nplain\n'), [{ event: "debug", port: 5 }, { event: "text", message: "plain" }]);
  assert.equal(lineOf({ event: "checked", checks: [] }), "All checks passed");
});
