// Sentences of the audit trail.
import { count, plural } from "./format.js";

export const audit = {
  title: "Audit",
  headline: (/** @type {number} */ n, /** @type {boolean} */ more) => (n ? `${more ? "The last " : ""}${plural(n, "entry", "entries")} of the audit trail` : "No entry of the audit trail matches"),
  empty: "Who set a secret, made a key, agreed, deployed or started a run stands here.", clear: "Clear the filters",
  fold: (/** @type {number} */ n) => (n ? `Filters (${n})` : "Filters"),
  filters: { action: "Action", outcome: "Outcome", actor: "By", target: "About", since: "Since" },
  actions: [
    ["run", "Runs"], ["secret", "Secrets"], ["key", "Keys"], ["version", "Versions"], ["workflow", "Workflows"], ["consent", "Consents"], ["agreement", "Agreements"],
    ["budget", "Budgets"], ["schedule", "Schedules"], ["trigger", "Triggers"], ["webhook", "Webhooks"], ["session", "Sign-ins"], ["member", "Members"], ["passkey", "Passkeys"],
    ["call", "Other operations"], ["refuse", "Refusals"],
  ],
  outcomes: [["done", "Done"], ["failed", "Failed"], ["refused", "Refused"]],
  times: [["1h", "Last hour"], ["24h", "Last day"], ["7d", "Last 7 days"], ["30d", "Last 30 days"]], anyTime: "Any time",
  columns: { at: "When", by: "By", action: "Action", about: "About", outcome: "Outcome", from: "From" },
  outcome: /** @type {Record<string, string>} */ ({ done: "done", failed: "failed", refused: "refused" }),
  door: /** @type {Record<string, string>} */ ({ http: "HTTP", mcp: "MCP", console: "console", page: "page", sandbox: "a run", runtime: "the runtime itself" }),
  more: "Details", before: "before", after: "after", hidden: "not kept", unsealed: "not sealed yet",
  facts: { operation: "Operation", door: "Front door", address: "Address", agent: "Program", key: "Key", run: "Run", owner: "Whose thing", seq: "Place", error: "Error" },
  verify: "Verify the chain", verified: (/** @type {number} */ entries, /** @type {number} */ blocks) => `Unbroken: ${plural(entries, "entry", "entries")} in ${plural(blocks, "block")}`,
  head: "Note this head elsewhere: a trail that is made anew lacks it.", broken: (/** @type {number} */ n) => `The trail was touched: ${plural(n, "problem")}`,
  removed: (/** @type {number} */ seq) => `Retention removed the entries up to ${count(seq)}.`,
  download: "Download as JSON lines", downloaded: (/** @type {number} */ n) => `${plural(n, "entry", "entries")} so far`,
  cut: (/** @type {number} */ n) => `Only the first ${count(n)} entries: codewords audit export prints all of them.`,
};
