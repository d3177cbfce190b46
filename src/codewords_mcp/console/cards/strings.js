// The words of the cards in a chat.
import { count, plural } from "../format.js";

export const cards = {
  waiting: "Waiting for the result", silent: "The chat host does not answer this card. The result stands in the chat; `codewords open` in a terminal opens the console.",
  cancelled: (/** @type {string} */ reason) => `The call was given up${reason ? `: ${reason}` : "."}`,
  console: "Open in the console", notOpened: "The chat host does not open links. Open this one yourself:",
  noTools: "This chat host lets a card ask for nothing.", refused: (/** @type {string} */ message) => `The chat host refused: ${message || "it gave no reason"}`,
  approve: "Answer in the console", opened: "Answer in the console; this card sees it.", answered: "You answered. The chat can go on.",
  inConsole: "The console shows all of it.", asked: "Only you can say this: the console opens, and asks you there.",
};

export const run = {
  cancel: "Cancel this run", cancelSure: "Cancel it now", keep: "Let it go on", again: "Run again", answer: "Answer", result: "Result",
  cut: (/** @type {number} */ n) => `The first ${count(n)} characters. The console shows all of it.`, file: (/** @type {string} */ type, /** @type {string} */ size) => `A file: ${type}, ${size}`,
};

export const review = {
  asks: "It asks for", pending: "Nothing was deployed yet", approve: "Review and answer in the console", opened: "Answer in the console, then deploy it here or in the chat.",
  deploy: "Deploy it now", working: "Deploying", answered: "The question was answered.", building: "Still building the environment. The chat goes on with it.",
  deployed: (/** @type {string} */ name, /** @type {number} */ version) => `${name}: version ${version} is live`, unchanged: (/** @type {string} */ name, /** @type {number} */ version) => `${name}: version ${version} was live already`,
  code: "Code", permissions: "Permissions", behaviour: "Behaviour", cost: "Cost", beside: (/** @type {number} */ version) => `Beside version ${version}`,
  lines: (/** @type {number} */ added, /** @type {number} */ removed) => `${plural(added, "line")} added, ${count(removed)} removed`,
  same: "The code is the same.", samePermissions: "Unchanged.", noCost: "Not known: nothing was replayed.", noBehaviour: "Nothing was replayed.", fresh: "This workflow is new, so there is no version to compare it with.", source: "Its code",
};

export const inbox = {
  nothing: "Nothing waits for you.", waits: (/** @type {number} */ n) => `${plural(n, "thing")} ${n === 1 ? "waits" : "wait"} for you`, until: (/** @type {string} */ when) => `until ${when}`, done: "Done: this waits no longer.",
  act: /** @type {Record<string, string>} */ ({ consent: "Answer in the console", secret: "Type it in the console", approval: "Answer in the console", connect: "Connect it in the console", browser: "Pair it in the console" }),
};

export const form = { loading: "Loading the form", back: "Back to the form" };

export const usage = {
  headline: (/** @type {number} */ runs, /** @type {string} */ cost, /** @type {number} */ days) => `${plural(runs, "run")} in ${plural(days, "day")}, model calls cost ${cost}`,
  days: "Runs by day", workflows: "By workflow", failed: (/** @type {number} */ n) => `${count(n)} failed`, none: "Nothing ran.", columns: { of: "Workflow", runs: "Runs", failed: "Failed", cost: "Cost" },
  day: (/** @type {string} */ day, /** @type {number} */ runs, /** @type {number} */ failed) => `${day}: ${plural(runs, "run")}, ${count(failed)} failed`,
};
