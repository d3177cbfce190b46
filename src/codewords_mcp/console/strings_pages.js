// The English sentences of the pages beyond Home, Runs and Run, loaded with them.
import { count, plural } from "./format.js";

export const inbox = {
  lead: "Whatever waits for a person: questions of runs, what workflows may do, secrets and accounts they need, writes that were held.",
  empty: "Questions that only a person may answer appear here: what a run asks, what a workflow may do, a secret to type, an account to connect.", emptyAction: "See what runs",
  questions: "Questions", asked: "asked", until: (/** @type {string} */ when) => `open until ${when}`,
  act: /** @type {Record<string, string>} */ ({ consent: "Read and answer", secret: "Type it", connect: "Connect the account", browser: "Pair this Chrome" }),
  unknown: "Runs that ask about a write", askedWrite: "Was it carried out?", held: "Held writes", dead: "Connections that no longer work",
  heldLine: (/** @type {number} */ n) => `${plural(n, "write")} held`, review: "Review what it would send", reconnect: (/** @type {string} */ app) => `Connect ${app} again`,
  since: (/** @type {string} */ name) => `Account “${name}”`,
  close: "Close", actOf: (/** @type {string} */ act, /** @type {string} */ what) => `${act}: ${what}`, gone: "This waits no longer: it was answered, or has expired.", all: "Show all that waits",
  by: "Asked by", deadline: (/** @type {string} */ when, /** @type {string | null} */ answer) => `The first answer counts. After ${when} ${answer === null ? "no answer counts" : `the answer is “${answer}”`}.`, code: "Code", nothingElse: "An answer counts once. Nothing that is not agreed is done.", toWorkflow: (/** @type {string} */ name) => `Open ${name}`, toRun: "Open the run that goes on", readAnswer: "Read and answer",
  unsure: (/** @type {number} */ attempt) => `Sent by attempt ${count(attempt)}. This write`, wasSent: "It was carried out", wasNot: "It was not: send it", goesOn: "A new run goes on with what is on record.", goOn: (/** @type {number} */ n) => (n ? `Go on, and send ${plural(n, "write")} again` : "Go on, and send none of them again"),
};

export const usage = {
  headline: (/** @type {number} */ runs, /** @type {string} */ cost, /** @type {number} */ days) => `${plural(runs, "run")} and ${cost} for models in ${plural(days, "day")}`,
  days: "Time", spans: [[7, "7 days"], [30, "30 days"], [90, "90 days"]], runs: "Runs", runsBy: "What runs used", costs: "What models cost", by: "By",
  bys: [["day", "Day"], ["workflow", "Workflow"], ["key", "Key"]], costBys: [["day", "Day"], ["workflow", "Workflow"], ["key", "Key"], ["model", "Model"]],
  columns: { of: "Of", runs: "Runs", failed: "Failed", running: "Running", waiting: "Waiting", cpu: "CPU", received: "Received", sent: "Sent", cost: "Machines", calls: "Calls", input: "Tokens in", output: "Tokens out", usd: "Cost" },
  csv: "Download CSV", none: "No run in this time.", noCosts: "No model was called in this time.", chartRuns: "Runs a day", chartCost: "Cost of models a day, in US dollars", succeeded: "Succeeded", failed: "Failed", others: "Waiting, running or cancelled", cost: "Cost", budget: "Budget",
  budgets: "Budgets", noBudgets: "A budget is a ceiling for model calls in US dollars. It is never crossed: what a call may cost is reserved before it is made.",
  add: "Set a budget", scope: "For", subject: "Workflow or key", period: "Each", usd: "US dollars", save: (/** @type {string} */ usd, /** @type {string} */ scope) => `Set ${usd} for each ${scope}`,
  scopes: [["home", "this home"], ["workflow", "one workflow"], ["key", "one key"], ["run", "run"], ["call", "call"]], periods: [["day", "day"], ["month", "month"], ["total", "in all"]],
  remove: (/** @type {string} */ what) => `Remove the budget of ${what}`, perOne: "bounds each alone", notAdmin: "Budgets are set by an admin.", unpriced: (/** @type {number} */ n) => `${plural(n, "call")} without a known price are not in this cost.`,
};

export const schedules = {
  next: (/** @type {string} */ name, /** @type {string} */ when) => `${name} runs ${when}`, none: "Nothing is scheduled", allPaused: "All schedules are paused",
  empty: "A schedule runs a workflow at its times.", add: "New trigger", coming: "Coming", table: "Schedules and sources",
  columns: { workflow: "Workflow", times: "Starts", next: "Next", last: "Last run", missed: "Missed", actions: "" }, once: "once", paused: "paused", never: "not yet",
  pause: (/** @type {string} */ name) => `Pause ${name}`, resume: (/** @type {string} */ name) => `Resume ${name}`, remove: (/** @type {string} */ name) => `Delete the schedule of ${name}`, pauseShort: "Pause", resumeShort: "Resume", deleteShort: "Delete",
  deleteTitle: "Delete this schedule?", deleteLead: "It starts no more runs. The runs that it started stay.", keep: "Keep it",
  form: { workflow: "Workflow", kind: "Started by", more: "More", name: "Name", look: "Show the newest item", nothing: "No item yet.", misfit: (/** @type {string} */ why) => `Added, but the workflow refuses the newest item: ${why}`, save: (/** @type {string} */ name) => `Let ${name} run by itself` },
  webhooks: "Webhooks", noWebhooks: "A webhook is an address that starts a workflow.", deliveries: "Deliveries", noDeliveries: "Nothing was delivered yet.",
  hookColumns: { workflow: "Workflow", kind: "Kind", url: "Address", created: "Made", actions: "" }, deliveryColumns: { status: "Outcome", event: "Event", received: "Received", size: "Size", runs: "Runs", actions: "" },
  again: "Deliver again", pauseHook: (/** @type {string} */ name) => `Pause the webhook of ${name}`, resumeHook: (/** @type {string} */ name) => `Resume the webhook of ${name}`, removeHook: (/** @type {string} */ name) => `Delete the webhook of ${name}`, deliveryStatus: /** @type {Record<string, string>} */ ({ received: "Received", started: "Started runs", ignored: "Ignored", paused: "Not started: paused", failed: "Failed", refused: "Refused" }), 
};

export const secrets = {
  headline: (/** @type {number} */ n, /** @type {number} */ plain) => (n ? `${plural(n, "secret")}, ${plain ? `${count(plain)} that programs can read` : "none that a program can read"}` : "No secrets"), many: (/** @type {number} */ n) => `More than ${count(n)} secrets`,
  empty: "A secret is a value that you type once, like a key of another service. No page, command or assistant shows it again.", add: "Add a secret", columns: { name: "Name", held: "Held as", hosts: "Sent to", used: "Used by", updated: "Entered", actions: "" }, ends: "ends",
  held: /** @type {Record<string, string>} */ ({ placeholder: "a placeholder: programs never see it", plain: "a value that programs can read" }), keptAt: "kept at", anyHost: "wherever its programs send it", unused: "no workflow",
  rotate: (/** @type {string} */ name) => `Enter a new value of ${name}`, rotateShort: "New value", remove: (/** @type {string} */ name) => `Delete ${name}`, deleteShort: "Delete", deleteTitle: (/** @type {string} */ name) => `Delete ${name}?`,
  deleteLead: (/** @type {number} */ n) => (n ? `${plural(n, "workflow")} ${n === 1 ? "uses" : "use"} it, and will fail without it.` : "No workflow uses it."), keep: "Keep it",
  form: { name: "Name", nameHint: "Letters, digits and _: OPENAI_API_KEY", hosts: "Hosts that it may be sent to", hostsHint: "api.openai.com, one a line; empty: programs get the value itself", place: "Where it is kept, if elsewhere", placeHint: "vault://kv/app#token, as this home allows; empty: you type the value", refer: (/** @type {string} */ name) => `Use ${name || "it"} from there`, next: (/** @type {string} */ name) => `Type the value of ${name || "it"}` },
};

export const settings = {
  works: "Everything works", noModels: "Workflows work; calls of models need a provider's key", problems: (/** @type {number} */ n) => `${plural(n, "thing")} ${n === 1 ? "needs" : "need"} attention`, health: "Health", isolation: "Isolation", hosts: "Chat hosts", agreements: "Agreements", chrome: "Your Chrome",
  facts: { version: "Version", home: "Home", address: "Address", store: "Database", free: "Free on disk", workflows: "Workflows", runs: "Runs kept", recordings: "Recordings", providers: "Model providers", consent: "Agreed to by" }, noProviders: "none has a key",
  hostsLead: "Add this to a chat host; it then deploys and runs workflows here.", audit: "Audit trail: who did what, from where", access: "Members, keys and sessions",
  noAgreements: "You have agreed to no workflow of another owner.", withdraw: (/** @type {string} */ name) => `Withdraw the agreement to ${name}`, withdrawShort: "Withdraw", agreedAt: "agreed", pair: "Pair your Chrome", forget: "Forget this Chrome",
  snippets: /** @type {[string, (url: string) => string][]} */ ([
    ["Claude Code", () => "claude mcp add --scope user codewords -- codewords-mcp"],
    ["Claude Desktop, Cursor and others", () => '{\n  "mcpServers": {\n    "codewords": { "command": "codewords-mcp" }\n  }\n}'],
    ["A host that speaks HTTP", (url) => `${url}/mcp\nAuthorization: Bearer YOUR_KEY`],
  ]),
};
