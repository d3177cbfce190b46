// The nodes of the views, from what the runtime answers.
"use strict";

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {string} label
 * @property {string} [description]
 * @property {string} [tooltip]
 * @property {string} [icon]
 * @property {string} [color]
 * @property {string} [context]  For the menus: workflow, version, run, draft, waiting.
 * @property {boolean} [opens]  Whether it has children.
 * @property {string} [service]
 * @property {number} [version]
 * @property {boolean} [live]
 * @property {string} [run]
 * @property {string} [draft]
 * @property {string} [path]
 * @property {"versions" | "runs" | "triggers"} [group]
 */

/** @type {Record<string, [string, string]>} */
const STATES = {
  succeeded: ["pass", "testing.iconPassed"], failed: ["error", "testing.iconFailed"], running: ["sync", ""], queued: ["clock", ""],
  cancelled: ["circle-slash", ""], interrupted: ["debug-disconnect", "testing.iconFailed"], timed_out: ["watch", "testing.iconFailed"],
};

/** How long ago, in words. @param {string | null | undefined} time @param {number} now */
function ago(time, now) {
  if (!time) return "";
  const seconds = Math.max(0, Math.round((now - Date.parse(time)) / 1000));
  for (const [unit, size] of /** @type {const} */ ([["d", 86400], ["h", 3600], ["min", 60]])) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return "just now";
}

/** @param {any[]} workflows @param {number} now @returns {Item[]} */
const workflowItems = (workflows, now) => workflows.map((one) => ({
  id: one.service_id, label: one.name, description: `v${one.version} · ${ago(one.updated_at, now)}`, tooltip: one.description || one.service_id,
  icon: "symbol-method", context: "workflow", opens: true, service: one.service_id,
}));

/** @param {string} service @returns {Item[]} */
const groupItems = (service) => /** @type {const} */ ([["runs", "Runs", "history"], ["versions", "Versions", "versions"], ["triggers", "Triggers", "zap"]])
  .map(([group, label, icon]) => ({ id: `${service}/${group}`, label, icon, opens: true, service, group }));

/** @param {any} detail @param {number} now @returns {Item[]} */
const versionItems = (detail, now) => detail.versions.map((/** @type {any} */ one) => ({
  id: `${detail.service_id}/v${one.version}`, label: `Version ${one.version}${one.active ? ", live" : ""}`, description: ago(one.created_at, now),
  tooltip: [one.description, one.deployed_by && `Deployed by ${one.deployed_by}`].filter(Boolean).join("\n"),
  icon: one.active ? "circle-filled" : "circle-outline", context: "version", service: detail.service_id, version: one.version, live: one.active,
}));

/** @param {any[]} runs @param {number} now @returns {Item[]} */
const runItems = (runs, now) => runs.map((one) => {
  const [icon, color] = STATES[one.status] ?? ["circle-outline", ""];
  const words = String(one.status).replaceAll("_", " ");
  return {
    id: `run/${one.id}`, label: one.error?.message ?? one.inputPreview ?? words, description: `${words} · ${ago(one.createdAt, now)}`,
    tooltip: `${words}, run ${one.id}`, icon, color, context: "run", run: one.id,
  };
});

/** @param {any[]} triggers @param {number} now @returns {Item[]} */
const triggerItems = (triggers, now) => triggers.map((one) => ({
  id: `trigger/${one.id}`, label: one.name || one.kind, tooltip: one.problem || one.note || one.id, icon: one.state === "paused" ? "debug-pause" : "zap",
  description: [one.name ? one.kind : "", one.state, one.last_at && `last ${ago(one.last_at, now)}`].filter(Boolean).join(" · "), context: "trigger",
}));

/** @param {any[]} drafts @param {number} now @returns {Item[]} */
const draftItems = (drafts, now) => drafts.map((one) => ({
  id: one.draft_id, label: one.name || one.draft_id, description: `revision ${one.revision} · ${one.ready ? "ready" : "not ready"} · ${ago(one.updated_at, now)}`,
  tooltip: one.description || one.draft_id, icon: "edit", context: "draft", draft: one.draft_id, service: one.workflow_id ?? undefined,
}));

/** @type {Record<string, [string, string]>} */
const KINDS = { consent: ["shield", "agree"], secret: ["key", "type a secret"], connect: ["plug", "connect an account"], browser: ["globe", "pair a Chrome"], approval: ["question", "answer"] };

/** @param {any[]} pages @returns {Item[]} */
const waitingItems = (pages) => pages.map((one) => ({
  id: one.path, label: one.title, description: KINDS[one.kind]?.[1] ?? one.kind, icon: KINDS[one.kind]?.[0] ?? "bell", context: "waiting", path: one.path,
}));

module.exports = { ago, workflowItems, groupItems, versionItems, runItems, triggerItems, draftItems, waitingItems };
