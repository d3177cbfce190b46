"use strict";
const assert = require("node:assert/strict");
const test = require("node:test");
const nodes = require("../src/nodes");

const NOW = Date.parse("2026-01-02T00:00:00Z");

test("times are told in words", () => {
  assert.equal(nodes.ago("2026-01-01T23:59:30Z", NOW), "just now");
  assert.equal(nodes.ago("2026-01-01T22:00:00Z", NOW), "2 h ago");
  assert.equal(nodes.ago("2025-12-30T00:00:00Z", NOW), "3 d ago");
  assert.equal(nodes.ago(null, NOW), "");
});

test("runs say how they ended, and why they failed", () => {
  const [good, bad] = nodes.runItems([
    { id: "a", status: "succeeded", inputPreview: "name: Ada", createdAt: "2026-01-01T23:00:00Z" },
    { id: "b", status: "timed_out", error: { message: "It took too long." }, createdAt: "2026-01-01T23:00:00Z" },
  ], NOW);
  assert.deepEqual([good.label, good.description, good.icon], ["name: Ada", "succeeded · 1 h ago", "pass"]);
  assert.deepEqual([bad.label, bad.description], ["It took too long.", "timed out · 1 h ago"]);
});

test("workflows open into runs, versions and triggers", () => {
  const [one] = nodes.workflowItems([{ service_id: "greet_1", name: "greet", version: 2, updated_at: "2026-01-01T23:00:00Z" }], NOW);
  assert.deepEqual([one.label, one.description, one.opens], ["greet", "v2 · 1 h ago", true]);
  assert.deepEqual(nodes.groupItems("greet_1").map((item) => item.group), ["runs", "versions", "triggers"]);
  const versions = nodes.versionItems({ service_id: "greet_1", versions: [{ version: 2, active: true, created_at: null }, { version: 1, active: false, created_at: null }] }, NOW);
  assert.deepEqual(versions.map((item) => [item.label, item.version]), [["Version 2, live", 2], ["Version 1", 1]]);
});

test("what waits says what is to be done", () => {
  assert.deepEqual(nodes.waitingItems([{ kind: "secret", title: "TOKEN", path: "/secrets/enter/x" }]).map((item) => [item.label, item.description, item.path]), [["TOKEN", "type a secret", "/secrets/enter/x"]]);
});

test("items of one view have ids of their own", () => {
  const items = [...nodes.draftItems([{ draft_id: "d1", name: "a", revision: 1 }, { draft_id: "d2", name: "a", revision: 1 }], NOW), ...nodes.triggerItems([{ id: "t", kind: "feed", state: "active" }], NOW)];
  assert.equal(new Set(items.map((item) => item.id)).size, items.length);
});
