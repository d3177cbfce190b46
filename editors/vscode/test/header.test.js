"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const { findHeader, keyAt, placeAt } = require("../src/header");
const { explained, keysOf, suggestionsAt } = require("../src/schema");

const SCHEMA = require("../schemas/header.schema.json");
const FILE = `"""About."""
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = [
#   "fastapi==0.115.12",
# ]
# [tool.codewords]
# budget = {run = 0.5}
# hosts = ["a.example"]
# 
# ///
import os
# concurrency = 4`.split("\n");

/** What is offered where a line ends with this text. @param {string[]} header @param {string} typed */
function offered(header, typed) {
  const lines = ["# /// script", ...header, typed, "# ///"];
  const place = placeAt(lines, lines.length - 2, typed.length);
  return place ? suggestionsAt(SCHEMA, place).map((one) => one.text) : null;
}

test("the header is found below other text, and only whole", () => {
  assert.deepEqual(findHeader(FILE), { first: 1, last: 10 });
  assert.equal(findHeader(["# /// script", "# a = 1"]), null);
  assert.equal(findHeader(["# /// script", "import os", "# ///"]), null);
  assert.equal(findHeader([]), null);
});

test("nothing is offered outside of the header", () => {
  assert.equal(placeAt(FILE, 0, 3), null);
  assert.equal(placeAt(FILE, 12, 3), null);
  assert.equal(keyAt(FILE, 12, 4), null);
});

test("each table offers its own keys with an example", () => {
  assert.deepEqual(offered([], "# "), ['requires-python = ">=3.11,<3.14"', 'dependencies = ["fastapi==0.115.12"]']);
  assert.deepEqual(offered(["# [tool.env-checker]"], "# env"), ['env_vars = ["LOGLEVEL=INFO", "MY_TOKEN"]']);
  const keys = Object.keys(keysOf(SCHEMA, "tool.codewords"));
  assert.ok(keys.includes("concurrency") && keys.includes("egress"));
  assert.equal(offered(["# [tool.codewords]"], "# conc")?.length, keys.length);
  assert.deepEqual(offered([], "# [tool."), ["tool.codewords", "tool.env-checker"]);
  assert.deepEqual(offered(["# [tool.other]"], "# "), []);
});

test("values are those of the schema, else its example", () => {
  const table = ["# [tool.codewords]"];
  assert.deepEqual(offered(table, "# isolation = "), ['"execution"', '"instance"']);
  assert.deepEqual(offered(table, "# inspect = "), ["true", "false"]);
  assert.deepEqual(offered(table, "# timeout = "), ["3600"]);
  assert.deepEqual(offered(table, "# unknown = "), []);
});

test("inline tables offer their keys, strings and lists nothing", () => {
  const table = ["# [tool.codewords]"];
  assert.deepEqual(offered(table, "# budget = {")?.map((text) => text.split(" ")[0]), ["call", "run", "day", "month", "total"]);
  assert.deepEqual(offered(table, "# retries = {count = 3, ")?.map((text) => text.split(" ")[0]), ["count", "resume"]);
  assert.deepEqual(offered(table, '# hosts = ["'), []);
  assert.deepEqual(offered([...table, "# hosts = ["], "#   "), []);
  assert.equal(offered(table, "# budget = {run = "), null);
});

test("a key is explained wherever it stands in its line", () => {
  assert.deepEqual(keyAt(FILE, 7, 3), { table: "tool.codewords", key: "", name: "budget", start: 2, end: 8 });
  assert.deepEqual(keyAt(FILE, 7, 13), { table: "tool.codewords", key: "budget", name: "run", start: 12, end: 15 });
  assert.equal(keyAt(FILE, 8, 12), null);
  const text = explained(SCHEMA, "isolation", keysOf(SCHEMA, "tool.codewords").isolation);
  assert.match(text, /idle for a minute/);
  assert.match(text, /"execution"`, `"instance"/);
  assert.match(text, /Without it/);
});
