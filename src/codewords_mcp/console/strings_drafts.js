// The English sentences of the pages of drafts, loaded with them.
import { plural } from "./format.js";

export const drafts = {
  headline: (/** @type {number} */ n, /** @type {number} */ ready) => (n ? `${plural(n, "draft")}, ${ready === n ? "ready to deploy" : `${ready} ready to deploy`}` : "No drafts"), lead: "A draft is code that is being worked on. It is checked at each change, and serves nobody until it is deployed.",
  blank: "New workflow", template: "Start from a template", empty: "A draft appears here when you begin a new workflow, edit one that is live, or when an assistant does.", table: "Drafts",
  columns: { name: "Draft", of: "Of", changed: "Changed", state: "Checks", actions: "" }, fresh: "a new workflow", of: (/** @type {number} */ n) => `from version ${n}`,
  ready: "can be deployed", problems: (/** @type {number} */ n) => plural(n, "problem"), expires: (/** @type {string} */ when) => `Kept until ${when}`,
  rename: (/** @type {string} */ name) => `Rename the draft ${name}`, renameShort: "Rename", name: "Name",
  remove: (/** @type {string} */ name) => `Delete the draft of ${name}`, removeShort: "Delete", removeTitle: (/** @type {string} */ name) => `Delete the draft of ${name}?`, removeLead: "Its code is lost. What is live stays as it is.", keep: "Keep it",
};

export const draft = {
  all: "Show all drafts", noTemplate: "There is no template of that id.", foreign: (/** @type {string} */ owner) => `There is no code to change: this workflow is ${owner}'s.`, fresh: "New workflow", sections: "Sections",
  headline: { changed: (/** @type {string} */ name) => `${name} has changes that are not saved`, ready: (/** @type {string} */ name) => `${name} can be deployed`, problems: (/** @type {string} */ name, /** @type {number} */ n) => `${name} has ${plural(n, "problem")}`, fresh: (/** @type {string} */ name) => `A draft of ${name}` },
  tabs: /** @type {[string, string][]} */ ([["code", "Code"], ["try", "Try it"], ["diff", "Difference to live"], ["deploy", "Deploy"]]),
  facts: { of: "Workflow", revision: "Revision", changed: "Saved" }, of: (/** @type {number} */ n) => `from version ${n}`, revision: (/** @type {number} */ n) => `revision ${n}`, unsaved: "not saved yet",
  save: "Save", check: "Check again", saving: "Saving and checking", saveHint: "Ctrl S or ⌘ S", editor: (/** @type {string} */ name) => `The code of ${name}`, escape: "Esc, then Tab leaves the editor.",
  restored: "This text was not saved before the page was left. It is back.", discardTo: (/** @type {number} */ n) => `Go back to revision ${n}`, discardNew: "Begin again",
  header: "The header differs from what is saved: its packages are installed, and the program is started, when you save.",
};

export const conflict = {
  draft: (/** @type {number} */ n) => `Revision ${n} of this draft was saved elsewhere while you wrote.`, live: (/** @type {number} */ n) => `Version ${n} was deployed while you wrote.`, lead: "Nothing was overwritten. Take what you need from the first text into yours, then save it.",
  theirs: (/** @type {number} */ n) => `revision ${n}, saved elsewhere`, theirsLive: (/** @type {number} */ n) => `version ${n}, live now`, mine: "your text",
  save: (/** @type {number} */ n) => `Save your text as revision ${n}`, begin: "Save your text as a draft of it", take: "Take the other text, and lose yours",
  gone: "This draft was deployed or deleted elsewhere. Your text is still here.", anew: "Keep it as a new draft", leave: "Leave it", phrases: { Accept: "Keep mine", Reject: "Take theirs", "Revert this chunk": "Take theirs" },
};

export const findings = {
  title: "What the checks found", working: "Checking …", none: "No problems: it starts, and answers its example.", noneTyped: "No problems so far. Saving starts it too.", unknown: "It could not be checked.",
  count: (/** @type {number} */ errors, /** @type {number} */ all) => (errors ? `${plural(errors, "problem")} to mend${all > errors ? `, ${plural(all - errors, "note")}` : ""}` : `No problems, ${plural(all, "note")}`),
  severity: { error: "problem", warning: "warning", info: "note" }, line: (/** @type {number} */ n) => `Line ${n}`, fix: "Fix:",
};

export const trial = {
  title: "Try it on an input", lead: "The draft runs once in a sandbox. Nothing that it writes is sent; what it reads is answered from the last recorded run.", run: "Try it", saveRun: "Save and try it", hint: "Nothing is sent, nothing is paid.", working: "Trying", noRoutes: "Its routes are known once it is saved and starts.", save: "Save",
  answer: "It answered", writes: "It would send", noWrites: "It would send nothing.", compared: "Beside the live version", recorded: "Replay recorded runs", recordedLead: "The last 20 recorded runs, on this draft and on the live version.", replay: "Replay them", saveReplay: "Save and replay them", replaying: "Replaying",
  verdicts: /** @type {Record<string, string>} */ ({ same: "The same as the live version", changed: "It does otherwise", worse: "It does worse", "cannot tell": "Nothing to compare with" }),
};

export const difference = { live: (/** @type {number} */ n) => `beside version ${n}, live`, save: "Save", changed: "There are changes that are not saved. The difference is that of the saved code.", same: "The code is the same as what is live.", fresh: "This is a new workflow: nothing is live yet.", title: "What this draft changes" };

export const review = {
  reviewing: "Checking it, and replaying recorded runs", save: "Save, and review what a deploy would change", again: "Review again", changed: "There are changes that are not saved. A deploy takes what is saved.",
  code: "Code", permissions: "Permissions", behaviour: "Behaviour", cost: "Cost", lines: (/** @type {number} */ added, /** @type {number} */ removed) => `${plural(added, "line")} more, ${plural(removed, "line")} less`,
  samePermissions: "It may reach what it may reach now.", nothing: "It reaches nothing: no hosts, services, models, workflows or secrets.", fresh: "A new workflow: it may reach this, and no more.", noRuns: "Nothing of it has run yet.", noCost: "No recorded run was replayed, so this is not known.", newCode: "All of its code is new.",
  asks: "You agree to this", asksLead: "Read it: the button below says yes to exactly these lines.", deploy: (/** @type {number} */ n, /** @type {string} */ name) => `Deploy version ${n} of ${name}`, agree: (/** @type {number} */ n, /** @type {string} */ name) => `Agree, and deploy version ${n} of ${name}`,
  act: (/** @type {number} */ n, /** @type {string} */ name) => `deploy version ${n} of ${name}`, deploying: "Deploying", unchanged: (/** @type {number} */ n) => `This code is live already, as version ${n}.`, done: (/** @type {number} */ n, /** @type {string} */ name) => `Version ${n} of ${name} is live`, open: (/** @type {string} */ name) => `Open ${name}`, run: "Run it", starts: "Schedules and webhooks", notes: "To know",
  outdated: "What changed on the live version since this draft began", own: "What this draft changes", over: (/** @type {number} */ n) => `Review it as a replacement of version ${n}`, problems: "Show the problems",
};
