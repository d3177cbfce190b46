// Webhooks and triggers, what came by them, and delivering it again.
import { get, post, send } from "../api.js";
import { bytes, visible } from "../format.js";
import { common } from "../strings.js";
import { triggers as listening } from "../strings_explore.js";
import { schedules as words } from "../strings_pages.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Confirm } from "./confirm.js";
import { RunLink, WorkflowLink } from "./link.js";
import { nameOf } from "./names.js";
import { allOf } from "./pages.js";
import { changesOf, Problem, useResource } from "./resource.js";
import { Table } from "./table.js";
import { Copy, Text, When } from "./text.js";

const PIECE = 50;

/** All webhooks, and so many deliveries. @param {number} most @param {AbortSignal} signal */
async function load(most, signal) {
  const [hooks, delivered] = await Promise.all([allOf("/webhooks", {}, { signal }), loadDeliveries(most, signal)]);
  return { hooks, ...delivered };
}

/** @param {number} most @param {AbortSignal} signal */
async function loadDeliveries(most, signal) {
  /** @type {any[]} */
  const deliveries = [];
  let more = true;
  while (more && deliveries.length < most) {
    const page = await get("/webhooks/deliveries", { limit: PIECE, before: deliveries.at(-1)?.id }, { signal });
    deliveries.push(...page.items);
    more = page.items.length === PIECE;
  }
  return { deliveries, more };
}

export function Webhooks() {
  const [most, setMost] = useState(PIECE);
  const { data, error, reload } = useResource((signal) => load(most, signal), [most], changesOf("run", "webhooks", "workflows"));
  const action = useAction();
  const changing = useAction();
  const [deleting, setDeleting] = useState(/** @type {any} */ (null));
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;

  const again = (/** @type {any} */ delivery) => action.run(async () => {
    await post(`/webhooks/deliveries/${delivery.id}/redeliver`);
    reload();
  });
  const change = (/** @type {any} */ hook) => changing.run(async () => {
    await post(`/webhooks/${hook.id}/${hook.paused ? "resume" : "pause"}`);
    reload();
  });
  const actions = (/** @type {any} */ hook) => html`<${Actions} hook=${hook} working=${changing.working} change=${change} remove=${setDeleting} />`;
  const plain = data.hooks.filter((/** @type {any} */ hook) => !isTrigger(hook));
  return html`<${Problem} error=${error ?? changing.error} />
    <${Triggers} hooks=${data.hooks.filter(isTrigger)} deliveries=${data.deliveries} actions=${actions} />
    <section class="card"><header><h2>${words.webhooks}</h2></header>
      ${plain.length ? html`<${Table} label=${words.webhooks} rows=${plain} id=${(/** @type {any} */ hook) => hook.id} columns=${hookColumns(actions)} />` : html`<p class="dim">${words.noWebhooks}</p>`}
    </section>
    ${data.hooks.length > 0 && html`<section class="card"><header><h2>${words.deliveries}</h2></header>
      <${Problem} error=${action.error} />
      ${data.deliveries.length ? html`<${Table} whole label=${words.deliveries} rows=${data.deliveries} id=${(/** @type {any} */ one) => one.id} columns=${deliveryColumns(action.working, again)} />` : html`<p class="dim">${words.noDeliveries}</p>`}
      ${data.more && html`<p class="more"><button onClick=${() => setMost(most + PIECE)}>${common.more}</button></p>`}
    </section>`}
    ${deleting && html`<${Confirm} title=${words.removeHook(visible(nameOf(deleting.service_id)))} lead=${visible(deleting.url)} action=${words.removeHook(visible(nameOf(deleting.service_id)))} keep=${words.keep}
      act=${async () => { await send("DELETE", `/webhooks/${deleting.id}`); reload(); }} onClose=${() => setDeleting(null)} />`}`;
}

/** @param {{hook: any, working: boolean, change: (hook: any) => void, remove: (hook: any) => void}} properties */
function Actions({ hook, working, change, remove }) {
  const name = visible(nameOf(hook.service_id));
  return html`<span class="actions">
    <button disabled=${working} aria-label=${(hook.paused ? words.resumeHook : words.pauseHook)(name)} onClick=${() => change(hook)}>${hook.paused ? words.resumeShort : words.pauseShort}</button>
    <button class="danger" aria-label=${words.removeHook(name)} onClick=${() => remove(hook)}>${words.deleteShort}</button></span>`;
}

/** @param {(hook: any) => unknown} actions */
const hookColumns = (actions) => [
  { name: words.hookColumns.workflow, cell: (/** @type {any} */ hook) => html`<${WorkflowLink} id=${hook.service_id} /> <span class="dim"><${Text} of=${hook.name} /></span>` },
  { name: words.hookColumns.kind, cell: (/** @type {any} */ hook) => html`${hook.kind}${hook.paused && html` <span class="tag">${words.paused}</span>`}` },
  { name: words.hookColumns.url, cell: (/** @type {any} */ hook) => html`<span class="address"><span class="mono clip"><${Text} of=${hook.url} /></span><${Copy} text=${hook.url} /></span>` },
  { name: words.hookColumns.created, class: "number", cell: (/** @type {any} */ hook) => html`<${When} at=${hook.created_at} />` },
  { name: words.hookColumns.actions, class: "number", cell: actions },
];

/** @param {boolean} working @param {(delivery: any) => void} again */
const deliveryColumns = (working, again) => [
  { name: words.deliveryColumns.status, cell: (/** @type {any} */ one) => html`<span class=${["failed", "refused"].includes(one.status) ? "bad" : ""} title=${visible(one.reason)}>${words.deliveryStatus[one.status] ?? one.status}</span>` },
  { name: words.deliveryColumns.event, cell: (/** @type {any} */ one) => html`<${Text} of=${one.event} />` },
  { name: words.deliveryColumns.runs, cell: (/** @type {any} */ one) => one.runs.map((/** @type {any} */ run) => html`<${RunLink} id=${run.run_id ?? run.id} /> `) },
  { name: words.deliveryColumns.received, class: "number", cell: (/** @type {any} */ one) => html`<${When} at=${one.received_at} />` },
  { name: words.deliveryColumns.size, class: "number", cell: (/** @type {any} */ one) => bytes(one.size) },
  { name: words.deliveryColumns.actions, class: "number", cell: (/** @type {any} */ one) => html`<button disabled=${working} onClick=${() => again(one)}>${words.again}</button>` },
];

/** @param {any} hook */
const isTrigger = (hook) => hook.kind in listening.kinds;

/** The last delivery that started something for it. @param {any} hook @param {any[]} deliveries */
const lastOf = (hook, deliveries) => deliveries.find((one) => one.runs.some((/** @type {any} */ run) => run.webhook_id === hook.id));

/** @param {any} hook */
function listensTo({ kind, filters }) {
  const events = (filters.events ?? []).filter((/** @type {string} */ one) => one !== "*").join(", ") || listening.every;
  return `${listening.kinds[kind]}: ${events}${filters.channel ? ` ${listening.channel(filters.channel)}` : ""}`;
}

/** @param {{hooks: any[], deliveries: any[], actions: (hook: any) => unknown}} properties */
const Triggers = ({ hooks, deliveries, actions }) => html`<section class="card"><header><h2>${listening.title}</h2></header>
  ${hooks.length ? html`<${Table} label=${listening.title} rows=${hooks} id=${(/** @type {any} */ hook) => hook.id} columns=${triggerColumns(deliveries, actions)} />`
    : html`<p class="dim">${listening.none} <a href="/console/services?q=trigger">${listening.services}</a></p>`}</section>`;

/** @param {any[]} deliveries @param {(hook: any) => unknown} actions */
const triggerColumns = (deliveries, actions) => [
  { name: listening.columns.workflow, cell: (/** @type {any} */ hook) => html`<${WorkflowLink} id=${hook.service_id} /> <span class="mono dim"><${Text} of=${hook.path} /></span>` },
  { name: listening.columns.listens, cell: (/** @type {any} */ hook) => html`<${Text} of=${listensTo(hook)} />` },
  { name: listening.columns.last, cell: (/** @type {any} */ hook) => {
    const last = lastOf(hook, deliveries);
    return last ? html`<${Text} of=${last.event} /> <span class="dim"><${When} at=${last.received_at} /></span> ${last.runs.filter((/** @type {any} */ run) => run.webhook_id === hook.id).slice(-1).map((/** @type {any} */ run) => html`<${RunLink} id=${run.run_id} />`)}` : html`<span class="dim">${listening.never}</span>`;
  } },
  { name: listening.columns.state, cell: (/** @type {any} */ hook) => (hook.paused ? html`<span class="tag">${words.paused}</span>` : html`<span class=${hook.socket === "connected" ? "good" : "dim"}><${Text} of=${hook.socket || listening.byAddress} /></span>`) },
  { name: listening.columns.actions, class: "number", cell: actions },
];
