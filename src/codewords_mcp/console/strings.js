// Every English sentence that a person reads, by the page or part that shows it.
import { count, plural } from "./format.js";

export const PRODUCT = "codewords";

export const PAGE_NAMES = /** @type {Record<string, string>} */ ({
  home: "Home", inbox: "Inbox", runs: "Runs", workflows: "Workflows", drafts: "Drafts", schedules: "Schedules",
  templates: "Templates", services: "Services", integrations: "Integrations", api: "API", secrets: "Secrets", usage: "Usage", members: "Members",
  settings: "Settings",
});

export const STATUS = /** @type {Record<string, string>} */ ({
  provisioned: "Expected", queued: "Waiting", starting: "Starting", running: "Running", succeeded: "Succeeded",
  failed: "Failed", timed_out: "Timed out", cancelled: "Cancelled", interrupted: "Interrupted",
});

export const MODE = /** @type {Record<string, string>} */ ({
  dry_run: "dry run", apply: "applies a dry run", replay: "replay", resume: "resumed",
});

export const WAITS = /** @type {Record<string, string>} */ ({
  key: "for a slot of its key", caller: "for a slot of its caller", workflow: "for a slot of its workflow",
  home: "for a slot of this home", turn: "for its turn", time: "for its time", retry: "before its next attempt",
  memory: "for memory", files: "for files", answer: "for your answer", wait: "for a time that it set",
});

export const frame = {
  skip: "Skip to the page", navigation: "Pages", search: "Search", keys: "Keys", openSearch: "Search everything  ( / )",
  lost: "The runtime does not answer. This page goes on when it is back.",
  signedOut: "You are signed out. What is on this page stays.", signIn: "Sign in in a new tab",
  working: "Working", notFound: "There is no such page.", toHome: "Go to Home", needYou: (/** @type {number} */ n) => `${plural(n, "thing")} for you`,
};

export const common = {
  again: "Try again", close: "Close", cancel: "Cancel", copy: "Copy", copied: "Copied", more: "Show more", loading: "Loading",
  character: (/** @type {string} */ code) => `Control or direction character ${code}`,
  failed: "This could not be loaded", version: (/** @type {number | string} */ n) => `version ${n}`, all: "All", none: "–",
};

export const run = {
  step: (/** @type {string} */ what, /** @type {string} */ step) => `${what.replace(/\.$/, "")} in step ${step}`,
  succeeded: (/** @type {string} */ name, /** @type {string} */ time) => `${name} succeeded in ${time}`,
  running: (/** @type {string} */ name, /** @type {string} */ time) => `${name} has been running for ${time}`,
  starting: (/** @type {string} */ name) => `${name} is starting`, waiting: (/** @type {string} */ name, /** @type {string} */ what) => `${name} waits ${what}`,
  expected: (/** @type {string} */ name) => `${name} is expected, and has not been called yet`,
  cancelled: (/** @type {string} */ time) => `Cancelled after ${time}`, interrupted: (/** @type {string} */ time) => `Interrupted after ${time}`,
  timedOut: (/** @type {string} */ time) => `Timed out after ${time}`, badInput: "The input does not fit the schema",
  facts: { workflow: "Workflow", version: "Version", trigger: "Started by", started: "Started", duration: "Duration", cost: "Cost", isolation: "Isolation", id: "Run", mode: "Kind" },
  attempts: "Attempts", attempt: (/** @type {number} */ n) => `Attempt ${n}`, still: "running",
  again: "Run again", edit: "Edit the input", cancelRun: "Cancel this run", replay: "Replay", dryRun: "Dry run",
  schedule: "schedule", byRun: "run", caller: "caller", isolation: (/** @type {string} */ level) => `isolation ${level}`,
  all: "Runs are removed after a while. Show all runs",
};

export const failure = {
  title: "Why it failed", fix: "Likely fix", refused: "Refused", refusedNote: "These requests were never sent.", around: "The code around it",
  secret: (/** @type {string} */ name) => `Enter ${name}`, input: "Edit the input and run again", again: "Run it again", code: (/** @type {number} */ line) => `Edit the code at line ${line}`,
  platform: "The runtime ended this run, not the workflow.",
  sent: "It was carried out: go on", notSent: "It was not: send it",
};

export const timeline = {
  title: "Timeline", whole: "Show the whole run", help: "Drag to zoom, Esc for the whole run.", span: "Selected", empty: "Nothing yet.",
  label: "Timeline: arrows move, plus and minus zoom", open: "open", incomplete: "Not on this timeline",
  facts: { status: "Answer", sent: "Sent", received: "Received", model: "Model", tokens: "Tokens", cost: "Cost", outcome: "Outcome", started: "Begins at", took: "Took", note: "Note", cached: "Cached", run: "Run" },
  tokens: (/** @type {number} */ input, /** @type {number} */ output) => `${count(input)} in · ${count(output)} out`,
  outcomes: /** @type {Record<string, string>} */ ({ sent: "sent", answered: "answered from a recording", held: "held by the dry run", blocked: "blocked", unsent: "not sent, the host was not reached" }),
  names: /** @type {Record<string, string>} */ ({ queue: "queued", sandbox: "sandbox", readiness: "readiness", program: "program", response: "response" }),
  kinds: /** @type {Record<string, string>} */ ({ step: "step", model: "model", service: "service", request: "HTTP", workflow: "workflow", platform: "platform" }),
  zoomed: (/** @type {string} */ from, /** @type {string} */ to) => `${from} to ${to}`,
};

export const log = {
  title: "Log", empty: "Nothing was printed.", waiting: "Nothing printed yet.", none: "No line matches.", search: "Search the log", level: "Level",
  levels: [["", "All"], ["info", "Info"], ["warning", "Warnings"], ["error", "Errors"]],
  arrived: (/** @type {number} */ n) => `${plural(n, "new line")} below`, lines: (/** @type {number} */ n) => plural(n, "line"),
  matches: (/** @type {number} */ n, /** @type {number} */ all) => `${count(n)} of ${plural(all, "line")}`, label: "Log lines: arrows move, Enter opens",
  older: "scroll up for older ones",
  dropped: (/** @type {number} */ n) => `The first ${count(n)} lines are left out here.`, download: "Download the log", line: "Line", broken: "The log broke off.",
};

export const answer = {
  title: "Answer", input: "Input", none: "The answer is empty.", noInput: "No input is kept: it was empty, private, or not text.", later: "Shown when the run has ended.",
  truncated: "Only its beginning is kept.", tree: "Tree", table: "Table", text: "Text", page: "Page", download: "Download", expires: (/** @type {string} */ when) => `until ${when}`,
  frame: "The answer as a page; its scripts don't run.", status: (/** @type {number} */ n) => `status ${n}`, moreItems: (/** @type {number} */ n) => `Show ${count(n)} more`, empty: "empty", image: "Picture of the answer", pdf: "PDF of the answer",
  problems: /** @type {Record<string, string>} */ ({ storing: "The file is being stored.", too_large: "The file was too large to keep.", busy: "The store was busy, so the file was not kept.", store_failed: "The file could not be stored.", gone: "The file is no longer kept." }),
  whole: "Show all of it", rows: (/** @type {number} */ n) => plural(n, "row"), sort: (/** @type {string} */ name) => `Sort by ${name}`,
};
