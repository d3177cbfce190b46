// The English sentences of the pages of workflows and templates, loaded with them.
import { count, plural } from "./format.js";

export const workflows = {
  headline: (/** @type {number} */ n, /** @type {boolean} */ more) => (n ? `${more ? "More than " : ""}${plural(n, "workflow")}` : "No workflows"),
  found: (/** @type {number} */ n, /** @type {boolean} */ more) => `${more ? "More than " : ""}${plural(n, "workflow")} found`, search: "Search workflows", template: "Start from a template", blank: "Write a new one",
  empty: "A workflow is one Python file that runs here, in a sandbox, whenever you, a schedule or a chat asks.", none: "No workflow has this in its name or description.", clear: "Show all workflows",
  lastRuns: "Last runs", noRuns: "not run yet", schedules: (/** @type {number} */ n) => plural(n, "schedule"), version: (/** @type {number} */ n) => `version ${n}`, run: (/** @type {string} */ name) => `Run ${name}`, runShort: "Run", changed: "changed",
};

export const workflow = {
  by: (/** @type {string} */ owner) => `Published by ${owner}. It runs with your rights: you are asked what it may do.`,
  live: (/** @type {number} */ n) => `version ${n} is live`, all: "Show all workflows", remove: "Delete", sections: "Sections",
  tabs: /** @type {[string, string][]} */ ([["run", "Run"], ["code", "Code"], ["versions", "Versions"], ["history", "History"], ["starts", "Schedules and webhooks"], ["reach", "Permissions"], ["use", "Use it"]]),
  facts: { version: "Version", url: "Address" }, lastRuns: "Last runs", noRuns: "It has not run yet.", allRuns: "All its runs",
  missing: (/** @type {number} */ n) => `${plural(n, "secret")} ${n === 1 ? "has" : "have"} no value yet, so runs will fail.`, enter: (/** @type {string} */ name) => `Enter ${name}`,
  removeTitle: (/** @type {string} */ name) => `Delete ${name}?`, removeButton: (/** @type {string} */ name) => `Delete ${name}`, keep: "Keep it",
  removeLead: (/** @type {{removed: string, cancelled: string, paused: string}} */ of) => [`Gone for good: ${of.removed}.`, of.cancelled && `Cancelled: ${of.cancelled}.`, of.paused && `Paused: ${of.paused}.`, "Its other runs stay."].filter(Boolean).join(" "),
};

export const history = {
  times: "Time from start to end: median, and 95 % of runs", p50: "Median", p95: "95 % within", table: "Runs by day",
};

export const ownPage = {
  open: "Open its page", docs: "API docs", led: (/** @type {string} */ path) => `You were on ${path} of this workflow. “Open its page” leads back there.`,
};

export const form = {
  title: "Run it", route: "Route", begin: "Begin with", empty: "An empty form", example: "The example", derived: "An example made from the schema", recent: (/** @type {string} */ status, /** @type {string} */ when, /** @type {string} */ input) => `${status} ${when}: ${input}`,
  asForm: "Form", asJson: "JSON", view: "Show the input as", run: (/** @type {string} */ name) => `Run ${name}`, dry: "Dry run", dryHint: "Writes are held and listed, not sent.", input: "Input", parameters: "In the address", headers: "Headers", optional: "optional",
  faults: (/** @type {number} */ n) => `${plural(n, "field")} ${n === 1 ? "needs" : "need"} another value.`, noInput: "This route takes no input.",
  missing: "This is needed.", notOffered: "Choose one of those offered.", only: (/** @type {string} */ value) => `This can only be ${value}.`, text: "Enter text.", boolean: "Choose yes or no.", list: "This is a list.", object: "This is an object.",
  integer: "Enter a whole number, like 3.", number: "Enter a number, like 3.5.", tooExact: "A number of this size can only be sent exactly as JSON.", notJson: (/** @type {string} */ why) => `This is not JSON: ${why}`,
  least: (/** @type {number} */ n) => `At least ${n}.`, most: (/** @type {number} */ n) => `At most ${n}.`, above: (/** @type {number} */ n) => `More than ${n}.`, below: (/** @type {number} */ n) => `Less than ${n}.`, multiple: (/** @type {number} */ n) => `A multiple of ${n}.`,
  longer: (/** @type {number} */ n) => `At least ${plural(n, "character")}.`, shorter: (/** @type {number} */ n, /** @type {number} */ now) => `At most ${plural(n, "character")}; these are ${count(now)}.`, pattern: (/** @type {string} */ pattern) => `It has to look like ${pattern}.`,
  moreItems: (/** @type {number} */ n) => `At least ${plural(n, "entry", "entries")}.`, fewerItems: (/** @type {number} */ n) => `At most ${plural(n, "entry", "entries")}.`,
  bounds: { between: (/** @type {number} */ low, /** @type {number} */ high) => `${low} to ${high}`, characters: (/** @type {string} */ n) => `${n} characters`, entries: (/** @type {string} */ n) => `${n} entries` },
  add: (/** @type {string} */ name) => `Add to ${name}`, give: (/** @type {string} */ name) => `Give ${name}`, leaveOut: (/** @type {string} */ name) => `Leave out ${name}`, leaveOutShort: "Leave out", removeItem: (/** @type {string} */ name, /** @type {number} */ n) => `Remove entry ${n} of ${name}`, item: (/** @type {number} */ n) => `Entry ${n}`,
  choose: "–", yes: "yes", no: "no", kind: (/** @type {string} */ name) => `Kind of ${name}`, variant: (/** @type {number} */ n) => `Kind ${n}`, types: /** @type {Record<string, string>} */ ({ string: "text", integer: "whole number", number: "number", boolean: "yes or no", array: "list", object: "object" }),
  upload: "Upload a file", uploading: "Uploading", zone: (/** @type {string} */ zone) => `In your time zone, ${zone}`,
};

export const versions = {
  title: "Versions", live: "live", by: "by", columns: { version: "Version", made: "Made", note: "Note", actions: "" }, compare: "What is different", of: "Version", against: "compared with", same: "The code is the same.", one: "There is one version so far.",
  back: (/** @type {number} */ n) => `Make version ${n} live`, backShort: "Make live", backOf: (/** @type {number} */ n) => `Make live: version ${n}`, backTitle: (/** @type {number} */ n) => `Make version ${n} live?`, backLead: (/** @type {number} */ n, /** @type {number} */ now) => `New runs, schedules and webhooks use version ${n} at once instead of version ${now}. Runs that go on finish on theirs; no version is lost.`, keep: (/** @type {number} */ n) => `Stay on version ${n}`,
  codeOf: (/** @type {number} */ n) => `The code of version ${n}`, dependencies: "Packages", edit: "Edit in a draft",
};

export const starts = {
  title: "What starts it", none: "Nothing starts it by itself.", next: "next", toSchedules: "Schedules and webhooks",
};

export const reach = {
  title: "What it may reach", lead: "It may do this and no more; the runtime refuses the rest.", nothing: "It reaches nothing: no hosts, services, models, workflows or secrets.", secrets: "Secrets and settings",
  noSecrets: "It needs none.", set: "has a value", unset: "has no value yet", optional: "optional, has no value", byDefault: (/** @type {string} */ value) => `${value} unless you set it`, enter: (/** @type {string} */ name) => `Enter ${name}`, enterShort: "Enter", renew: "New value", renewOf: (/** @type {string} */ name) => `New value of ${name}`, tried: "How this version was tried",
};

export const use = {
  lead: "The same call from elsewhere. Programs need a key, made in Members.", curl: "Terminal", python: "Python", chat: "In a chat", copy: (/** @type {string} */ of) => `Copy: ${of}`, fill: "With other input", sayRoute: (/** @type {string} */ route) => `, route ${route}`, say: (/** @type {string} */ name, /** @type {string} */ id) => `Run the workflow “${name}” (${id})`, sayWith: (/** @type {string} */ input) => ` with this input: ${input}`,
};

export const templates = {
  headline: (/** @type {number} */ n) => (n ? `${plural(n, "template")} to start from` : "No templates"), search: "Search templates", none: "No template has these words.", clear: "Show all templates", category: "Category", all: "All",
  needs: "Needs", missing: "not set up yet", ready: "ready to run", services: "Uses", deploy: (/** @type {string} */ name) => `Deploy ${name}`, deployIt: (/** @type {string} */ name) => `deploy ${name}`, deployShort: "Deploy", deploying: "Deploying", done: (/** @type {string} */ name) => `${name} is live.`, open: (/** @type {string} */ name) => `Open ${name}`,
  code: "Show the code", edit: "Edit a copy", editOf: (/** @type {string} */ name) => `Edit a copy of ${name}`, codeOf: (/** @type {string} */ name) => `Show the code of ${name}`, codeTitle: (/** @type {string} */ name) => `The code of ${name}`,
};

export const consent = {
  title: "Do you agree?", agree: (/** @type {string} */ what) => `Agree, and ${what}`, decline: "Decline", note: "Nothing happens until you agree.",
  run: (/** @type {string} */ name) => `run ${name}`, declined: "You declined; nothing was run.",
};
