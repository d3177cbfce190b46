"use strict";
const assert = require("node:assert/strict");
const { readdirSync, readFileSync, statSync } = require("node:fs");
const path = require("node:path");
const test = require("node:test");

const ROOT = path.join(__dirname, "..");
const manifest = require("../package.json");
const sources = readdirSync(path.join(ROOT, "src")).map((name) => readFileSync(path.join(ROOT, "src", name), "utf8")).join("\n");

test("every command is registered, and every one that is registered is told or used", () => {
  const registered = new Set([...sources.matchAll(/"(codewords\.\w+)": (?:async )?\(/g), ...sources.matchAll(/registerCommand\("(codewords\.\w+)"/g)].map((found) => found[1]));
  const told = manifest.contributes.commands.map((/** @type {any} */ one) => one.command);
  assert.deepEqual([...registered].sort(), [...told].sort());
});

test("every setting that the code reads is told", () => {
  const told = Object.keys(manifest.contributes.configuration.properties);
  for (const [, name] of sources.matchAll(/(?:text|\.get)\("(command|home|runtimeUrl|checkWhileTyping|codeLens)"\)/g)) assert.ok(told.includes(`codewords.${name}`), name);
});

test("files that the manifest names are there", () => {
  const named = [manifest.main, manifest.icon, ...manifest.contributes.grammars.map((/** @type {any} */ one) => one.path), manifest.contributes.viewsContainers.activitybar[0].icon];
  for (const name of named) assert.ok(statSync(path.join(ROOT, name)).isFile(), name);
});

test("what may start programs is restricted in untrusted workspaces", () => {
  assert.deepEqual(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations, ["codewords.command", "codewords.home", "codewords.runtimeUrl"]);
});

test("the extension needs no package at runtime", () => {
  assert.ok(!("dependencies" in manifest));
  const required = [...sources.matchAll(/require\("([^"]+)"\)/g)].map((found) => found[1]);
  assert.deepEqual(required.filter((name) => !/^(node:|\.|vscode$)/.test(name)), []);
});
