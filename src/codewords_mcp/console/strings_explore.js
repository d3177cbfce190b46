// The English sentences of services, integrations and the API explorer, loaded with them.
import { plural } from "./format.js";

export const services = {
  headline: (/** @type {number} */ n) => (n ? `${plural(n, "service")} for workflows` : "No services"), search: "Search services", none: "No service has these words.", clear: "Show all services", toApi: "API explorer",
  lead: "Parts of this runtime that every workflow may call, each a form to try here.", open: (/** @type {string} */ name) => `Open ${name}`,
  ready: "ready", notReady: "not ready", noAccount: "no account needed", needs: "needs", has: "has a value", lacks: "has no value yet", without: "Without it", enter: (/** @type {string} */ name) => `Enter ${name}`, enterShort: "Enter",
  credentials: "What it works with", none_needed: "It needs no account and no key.", used: "Used by", unused: "No workflow uses it yet.", usedBy: (/** @type {number} */ n) => `used by ${plural(n, "workflow")}`,
  operations: "Operations", count: (/** @type {number} */ n) => plural(n, "operation"), all: "Show all services", writes: "changes something", reads: "only reads", sometimes: "may change something",
};

export const api = {
  headline: (/** @type {number} */ n) => plural(n, "operation"), lead: "Every route of this runtime and of its services. What you send here is sent as you, for real.", search: "Search operations", all: "All parts", part: "Part", none: "No operation has these words.", clear: "Show all operations",
  back: "All operations", gone: "There is no such operation.", method: "Method", key: /** @type {Record<string, string>} */ ({ admin: "for admins", open: "needs no key" }),
  example: "Fill in the example", file: "Or send a file",
  send: (/** @type {string} */ line) => `Send ${line}`, ask: (/** @type {string} */ summary) => `${summary}?`, asks: "This is sent now, for real:", keep: "Don't send it", sending: "Waiting for the answer", stop: "Stop", stopped: "Stopped: this is what came until then.",
  credential: (/** @type {string} */ names) => `It acts with ${names}, whose provider may charge for each call.`, models: "It asks a model, which costs what its provider charges; budgets in Usage bound it.", cost: "Cost", run: "Run", took: "Took",
  headers: (/** @type {number} */ n) => plural(n, "header"), request: "The same request elsewhere", requestLead: "Programs need a key, made in Members; its value stands in no snippet.", hidden: "THE_VALUE", size: "Size", again: "send it",
};

export const integrations = {
  headline: (/** @type {number} */ n) => (n ? `${plural(n, "account")} connected` : "No account connected"), search: "What should be done? Like: add a row to a sheet", apps: "Apps", popular: "Most used apps", actions: "Actions", none: "Nothing has these words. Name the app, or the kind of data.", clear: "Clear the search", accounts: "Accounts",
  lead: "Other apps that workflows can act in, with accounts that you connect.", noAccounts: "No account is connected. Choose an app below and connect it.", setUp: "Enter the credentials", setUpLead: "Three secrets connect this home to a project of Pipedream. Each is typed on a page of its own:",
  columns: { app: "App", account: "Account", state: "State", since: "Since", used: "Used by", actions: "" }, ok: "works", connected: "connected", dead: "needs to be connected again", ownToken: "your own token", unused: "no workflow",
  connect: (/** @type {string} */ app) => `Connect ${app}`, again: (/** @type {string} */ app) => `Connect again: ${app}`, againShort: "Connect again", remove: (/** @type {string} */ name) => `Disconnect ${name}`, removeShort: "Disconnect", removeTitle: (/** @type {string} */ name) => `Disconnect ${name}?`, keep: "Keep it",
  removeLead: (/** @type {number} */ n) => (n ? `${plural(n, "workflow")} ${n === 1 ? "uses" : "use"} this app, and will fail without an account.` : "No workflow uses this app."), inSecrets: "In Secrets",
  writes: "changes something", reads: "only reads", noActions: "No action of this app is known.", searchActions: "Search its actions", total: (/** @type {number} */ n) => plural(n, "action"), all: "All apps", allActions: (/** @type {string} */ app) => `All actions of ${app}`,
  account: "Account", newest: "The newest that works", values: (/** @type {string} */ name) => `Show the values of ${name}`, noValues: (/** @type {string} */ name) => `The app lists no value of ${name}.`, typed: (/** @type {string} */ name) => `Type ${name} instead`, fields: "Show the fields that depend on these values", declare: (/** @type {string} */ name) => `A workflow declares it with the variable ${name}.`,
};

export const triggers = {
  title: "Slack and WhatsApp", none: "Nothing listens. A workflow registers itself.", services: "See the trigger services", columns: { workflow: "Workflow", listens: "Listens to", last: "Last event", state: "State", actions: "" },
  every: "every event", channel: (/** @type {string} */ name) => `in ${name}`, never: "nothing yet", byAddress: "at its address", kinds: /** @type {Record<string, string>} */ ({ slack: "Slack", whatsapp: "WhatsApp" }),
};
