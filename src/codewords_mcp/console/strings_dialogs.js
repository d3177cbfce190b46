// Sentences of what is opened over a page: search, keys, and the dialogs of a run.
import { count, plural } from "./format.js";

export const search = {
  title: "Search", label: "Search pages, workflows, runs, secrets, services and operations", hint: "A name, or the id of a run",
  nothing: "Nothing has this in its name.",
  kinds: { page: "Page", workflow: "Workflow", run: "Run", secret: "Secret", service: "Service", template: "Template", draft: "Draft", operation: "Operation" },
};

export const calls = {
  median: "Median", longest: "Longest", sum: "In all", open: (/** @type {number} */ n) => `Show each of the ${plural(n, "call")}`, close: "Show them as one row",
};

export const keys = {
  title: "Keys",
  rows: [
    ["/", "Search everything"], ["?", "Show these keys"], ["g, then a letter", "Go to a page"],
    ["↑ ↓ or k j", "Move in a list"], ["Enter", "Open"], ["x", "Select a run"], ["+ − ← →", "Zoom and pan the timeline"],
    ["Esc", "Close, or show the whole run"], ["Ctrl S or ⌘ S", "Save a draft"], ["Esc, then Tab", "Leave the editor of code"],
  ],
};

export const again = {
  title: (/** @type {string} */ name) => `Run ${name} again`, input: "Input", invalid: "This is not JSON.", start: (/** @type {string} */ name) => `Run ${name} with this input`,
  startDry: (/** @type {string} */ name) => `Run ${name}, and hold what it would send`, dry: "Dry run: hold writes instead of sending them", truncated: "Only the beginning of this input was kept; complete it before you run it.", none: "No input was kept; write one.",
  cancel: "Cancel this run?", cancelButton: (/** @type {string} */ name) => `Cancel the run of ${name}`, keep: "Let it go on", cancelLead: "Its sandbox is ended at once; runs that it started are cancelled too.",
};

export const replay = {
  title: "Replay this run", lead: "Another version gets this run's request and its recorded responses. Nothing is sent, nothing is paid.",
  on: "On", live: (/** @type {number} */ n) => `version ${n} (live)`, draft: (/** @type {string} */ name) => `draft ${name}`, start: (/** @type {string} */ what) => `Replay on ${what}`,
};

export const writes = {
  title: "Held, not sent", sent: "Sent", lead: (/** @type {number} */ n) => (n ? `This dry run held ${plural(n, "write")}. Nothing of them has been sent.` : "This dry run held nothing: it would only have read."),
  send: (/** @type {number} */ n) => `send exactly ${n === 1 ? "this write" : `these ${count(n)} writes`}`,
  apply: (/** @type {number} */ n) => `Run for real and send exactly ${n === 1 ? "this write" : `these ${count(n)} writes`}`,
};
