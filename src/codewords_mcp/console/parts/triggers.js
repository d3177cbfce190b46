// Triggers: the workflows that listen to events of other systems, what came last, and whether they are heard.
import { triggers as words } from "../strings_explore.js";
import { schedules } from "../strings_pages.js";
import { html } from "../ui.js";
import { RunLink, WorkflowLink } from "./link.js";
import { Table } from "./table.js";
import { Text, When } from "./text.js";

/** @param {any} hook */
export const isTrigger = (hook) => hook.kind in words.kinds;

/** The last delivery that started something for it. @param {any} hook @param {any[]} deliveries */
const lastOf = (hook, deliveries) => deliveries.find((one) => one.runs.some((/** @type {any} */ run) => run.webhook_id === hook.id));

/** @param {any} hook */
function listensTo({ kind, filters }) {
  const events = (filters.events ?? []).filter((/** @type {string} */ one) => one !== "*").join(", ") || words.every;
  return `${words.kinds[kind]}: ${events}${filters.channel ? ` ${words.channel(filters.channel)}` : ""}`;
}

/** @param {{hooks: any[], deliveries: any[], actions: (hook: any) => unknown}} properties */
export const Triggers = ({ hooks, deliveries, actions }) => html`<section class="card"><header><h2>${words.title}</h2></header>
  ${hooks.length ? html`<${Table} label=${words.title} rows=${hooks} id=${(/** @type {any} */ hook) => hook.id} columns=${columns(deliveries, actions)} />`
    : html`<p class="dim">${words.none} <a href="/console/services?q=trigger">${words.services}</a></p>`}</section>`;

/** @param {any[]} deliveries @param {(hook: any) => unknown} actions */
const columns = (deliveries, actions) => [
  { name: words.columns.workflow, cell: (/** @type {any} */ hook) => html`<${WorkflowLink} id=${hook.service_id} /> <span class="mono dim"><${Text} of=${hook.path} /></span>` },
  { name: words.columns.listens, cell: (/** @type {any} */ hook) => html`<${Text} of=${listensTo(hook)} />` },
  { name: words.columns.last, cell: (/** @type {any} */ hook) => {
    const last = lastOf(hook, deliveries);
    return last ? html`<${Text} of=${last.event} /> <span class="dim"><${When} at=${last.received_at} /></span> ${last.runs.filter((/** @type {any} */ run) => run.webhook_id === hook.id).slice(-1).map((/** @type {any} */ run) => html`<${RunLink} id=${run.run_id} />`)}` : html`<span class="dim">${words.never}</span>`;
  } },
  { name: words.columns.state, cell: (/** @type {any} */ hook) => (hook.paused ? html`<span class="tag">${schedules.paused}</span>` : html`<span class=${hook.socket === "connected" ? "good" : "dim"}><${Text} of=${hook.socket || words.byAddress} /></span>`) },
  { name: words.columns.actions, class: "number", cell: actions },
];
