// Sentences of Home and of the list of runs.
import { count, plural } from "./format.js";

export const home = {
  nothingNeedsYou: "Nothing needs you",
  needsYou: (/** @type {number} */ n) => `${plural(n, "thing")} ${n === 1 ? "needs" : "need"} you`,
  running: (/** @type {number} */ n) => (n ? `${plural(n, "run")} ${n === 1 ? "is" : "are"} running` : "no run is running"),
  waiting: (/** @type {number} */ n) => `${plural(n, "run")} ${n === 1 ? "waits" : "wait"} for an answer or a time`,
  failed: (/** @type {number} */ n) => (n ? `${plural(n, "run")} failed in the last day` : "none failed in the last day"),
  inbox: "Needs you", failures: "Recent failures", active: "Runs now", next: "Upcoming", spending: "Spending today",
  noFailures: "No run has failed.", noActive: "No run is running or waiting.", noNext: "Nothing is scheduled.",
  schedule: "Let a workflow run by itself", allRuns: "All runs", allFailed: "All failed runs",
  spent: (/** @type {string} */ usd, /** @type {number} */ calls) => `${usd} for ${plural(calls, "model call")}`,
  noCalls: "No model was called today.", noBudget: "No budget bounds model calls.",
  budget: (/** @type {string} */ spent, /** @type {string} */ limit) => `${spent} of ${limit}`,
  unpriced: (/** @type {number} */ n) => `${plural(n, "call")} of models without a known price not counted.`,
  expires: (/** @type {string} */ when) => `open until ${when}`,
};

export const first = {
  title: "Run your first workflow",
  lead: "A workflow is one Python file that runs here, in a sandbox, whenever you, a schedule or a chat asks.",
  deployTitle: "Start from a template", deploy: (/** @type {string} */ name) => `Deploy “${name}”`,
  deploying: "Deploying",
  connectTitle: "Or let your assistant write it", connect: "Add this runtime to a chat host, then say what you need.",
  hosts: [
    ["Claude Code", "claude mcp add --scope user codewords -- codewords-mcp"],
    ["Claude Desktop, Cursor and others", '{\n  "mcpServers": {\n    "codewords": { "command": "codewords-mcp" }\n  }\n}'],
  ],
  done: (/** @type {string} */ name) => `“${name}” is live. Run it once to see what a run looks like.`, run: "Run it with its example",
};

export const runs = {
  headline: (/** @type {number} */ active, /** @type {number} */ failed, /** @type {number} */ shown) => {
    if (!shown) return "No runs";
    const parts = [];
    if (active) parts.push(`${plural(active, "run")} ${active === 1 ? "goes" : "go"} on`);
    parts.push(failed ? `${count(failed)} of the last ${count(shown)} failed` : `none of the last ${count(shown)} failed`);
    const text = parts.join(", ");
    return text.charAt(0).toUpperCase() + text.slice(1);
  },
  filtered: (/** @type {number} */ n, /** @type {boolean} */ more) => `${more ? "At least " : ""}${plural(n, "run")} ${n === 1 ? "matches" : "match"}`,
  empty: "A run is one execution of a workflow. It appears here as soon as something starts it.", emptyAction: "Choose a workflow",
  noMatch: "No run matches these filters.", clear: "Clear filters",
  columns: { status: "Status", workflow: "Workflow", input: "Input", trigger: "Started by", started: "Started", duration: "Duration", cost: "Cost" },
  filters: { workflow: "Workflow", status: "Status", mode: "Kind", trigger: "Started by", key: "Caller", since: "Time", q: "Text in the input", version: "Version" },
  looked: (/** @type {number} */ n, /** @type {string} */ back) => `Looked through ${plural(n, "run")}, back to ${back}.`, further: "Look further back",
  fold: (/** @type {number} */ n) => (n ? `Filters (${n})` : "Filters"), ordinary: "All but replays", anyTime: "Any time",
  times: [["1h", "Last hour"], ["24h", "Last day"], ["7d", "Last week"], ["30d", "Last 30 days"]],
  triggers: [["caller", "A caller"], ["schedule", "A schedule"], ["event", "An event"], ["webhook", "A webhook"], ["run", "Another run"], ["on_failure", "A failure"]],
  triggerOf: /** @type {Record<string, string>} */ ({ schedule: "schedule", event: "event", run: "a run", caller: "caller", webhook: "webhook", on_failure: "a failure" }),
  byKey: (/** @type {string} */ key) => `with the key ${key}…`,
  select: (/** @type {string} */ id) => `Select run ${id}`, selectAll: "Select all shown",
  selected: (/** @type {number} */ n) => `${plural(n, "run")} selected`,
  cancelMany: (/** @type {number} */ n) => `Cancel ${plural(n, "run")}`, againMany: (/** @type {number} */ n) => `Run ${count(n)} again`,
  unselect: "Clear selection", arrived: (/** @type {number} */ n) => `Show ${plural(n, "new run")}`,
  table: "Runs", done: (/** @type {number} */ n, /** @type {number} */ bad) => (bad ? `${count(n)} done, ${count(bad)} refused` : `${count(n)} done`),
};
