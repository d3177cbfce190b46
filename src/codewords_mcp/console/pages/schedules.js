// Schedules: what comes, what came of the last time, what was missed; webhooks and what they delivered.
import { post, send } from "../api.js";
import { dayTime, exact, relative, visible } from "../format.js";
import { common, PAGE_NAMES } from "../strings.js";
import { schedules as words } from "../strings_pages.js";
import { html, useState } from "../ui.js";
import { useAction } from "../parts/action.js";
import { Agenda } from "../parts/agenda.js";
import { Confirm } from "../parts/confirm.js";
import { lazy } from "../parts/lazy.js";
import { RunLink, WorkflowLink } from "../parts/link.js";
import { nameOf } from "../parts/names.js";
import { allOf, firstOf, PIECE } from "../parts/pages.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Status } from "../parts/status.js";
import { Table } from "../parts/table.js";
import { now, Text, useTitle, When } from "../parts/text.js";
import { Webhooks } from "../parts/webhooks.js";

const TriggerForm = lazy(async () => (await import("../parts/trigger_form.js")).TriggerForm);

/** @param {any[]} schedules */
function headline(schedules) {
  const next = schedules.find((schedule) => schedule.next_at && !schedule.paused);
  if (next) return words.next(visible(nameOf(next.service_id)), relative(next.next_at, now.value));
  return schedules.length ? words.allPaused : words.none;
}

export default function Schedules() {
  useTitle(PAGE_NAMES.schedules);
  const [most, setMost] = useState(PIECE);
  const { data: listed, error, reload } = useResource((signal) => firstOf("/schedules", {}, most, { signal }), [most], changesOf("schedules", "run"));
  const { data: triggers } = useResource((signal) => allOf("/triggers", {}, { signal }), [], changesOf("schedules", "run"));
  const action = useAction();
  const [adding, setAdding] = useState(false);
  const [deleting, setDeleting] = useState(/** @type {any} */ (null));
  const data = listed?.items;
  if (!listed || !data) return html`<${Problem} error=${error} retry=${reload} />`;

  const change = (/** @type {any} */ schedule) => action.run(async () => {
    await post(`/triggers/${schedule.id}/${schedule.paused ? "resume" : "pause"}`);
    reload();
  });
  const rows = [...data, ...(triggers ?? []).filter((/** @type {any} */ one) => one.id[0] === "t").map(asRow)];
  return html`
    <header class="head split"><h1>${headline(data)}</h1><div class="actions"><button class="primary" onClick=${() => setAdding(true)}>${words.add}</button></div></header>
    <${Problem} error=${error ?? action.error} />
    ${data.length === 0 && html`<div class="card empty"><p>${words.empty}</p></div>`}
    <${Agenda} schedules=${data} />
    ${rows.length > 0 && html`<section class="card"><header><h2>${words.table}</h2></header>
      <${Table} label=${words.table} whole rows=${rows} id=${(/** @type {any} */ row) => row.id} columns=${columns(action.working, change, setDeleting)} />
      ${listed.more && html`<p class="more"><button onClick=${() => setMost(data.length + PIECE)}>${common.more}</button></p>`}</section>`}
    <${Webhooks} />
    ${adding && html`<${TriggerForm} onClose=${() => setAdding(false)} onSaved=${reload} />`}
    ${deleting && html`<${Confirm} title=${words.deleteTitle} lead=${words.deleteLead} action=${words.remove(visible(nameOf(deleting.service_id)))} keep=${words.keep}
      act=${async () => { await send("DELETE", `/triggers/${deleting.id}`); reload(); }} onClose=${() => setDeleting(null)} />`}`;
}

/** A trigger as a row. @param {any} one */
const asRow = (one) => ({ ...one, paused: one.state === "paused", cron: one.kind, last_status: "started", timezone: one.options.url ?? one.options.workflow, note: one.note || one.problem });

/** @param {boolean} working @param {(schedule: any) => void} change @param {(schedule: any) => void} remove */
const columns = (working, change, remove) => [
  { name: words.columns.workflow, cell: (/** @type {any} */ row) => html`<span class="what"><${WorkflowLink} id=${row.service_id} />${row.name && html` <span class="dim"><${Text} of=${row.name} /></span>`}</span>` },
  { name: words.columns.times, cell: (/** @type {any} */ row) => html`<span class="mono">${row.cron ?? words.once}</span> <span class="dim">${row.timezone} <${Text} of=${row.note} /></span>` },
  { name: words.columns.next, class: "number", cell: (/** @type {any} */ row) => (row.paused ? html`<span class="tag">${words.paused}</span>` : row.next_at && html`<time datetime=${row.next_at} title=${exact(row.next_at)}>${dayTime(row.next_at, now.value)}</time>`) },
  { name: words.columns.last, cell: (/** @type {any} */ row) => (row.last_run_id ? html`<${RunLink} id=${row.last_run_id}><${Status} of=${row.last_status ?? "queued"} /><//> <span class="dim"><${When} at=${row.last_at} /></span>` : html`<span class="dim">${row.last_error ? html`<${Text} of=${row.last_error} />` : words.never}</span>`) },
  { name: words.columns.missed, class: "number", cell: (/** @type {any} */ row) => html`<span title=${visible(row.note)} class=${row.missed ? "bad" : "dim"}>${row.missed}</span>` },
  { name: words.columns.actions, class: "number", cell: (/** @type {any} */ row) => html`<span class="actions">
      <button disabled=${working} aria-label=${(row.paused ? words.resume : words.pause)(visible(nameOf(row.service_id)))} onClick=${() => change(row)}>${row.paused ? words.resumeShort : words.pauseShort}</button>
      <button class="danger" aria-label=${words.remove(visible(nameOf(row.service_id)))} onClick=${() => remove(row)}>${words.deleteShort}</button></span>` },
];
