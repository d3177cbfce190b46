// What starts a workflow besides people: its schedules and webhooks.
import { dayTime, exact } from "../format.js";
import { starts as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { allOf } from "./pages.js";
import { changesOf, Problem, useResource } from "./resource.js";
import { ScheduleForm } from "./schedule_form.js";
import { Copy, now, Text, When } from "./text.js";

/** @param {string} id @param {AbortSignal} signal */
async function load(id, signal) {
  const [schedules, hooks] = await Promise.all([allOf("/schedules", { service_id: id }, { signal }), allOf("/webhooks", { service_id: id }, { signal })]);
  return { schedules, hooks };
}

/** @param {{workflow: any}} properties */
export function Starts({ workflow }) {
  const { data, error, reload } = useResource((signal) => load(workflow.service_id, signal), [workflow.service_id], changesOf("schedules", "webhooks"));
  const [adding, setAdding] = useState(false);
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  return html`
    <section class="card"><header><h2>${words.schedules}</h2><button onClick=${() => setAdding(true)}>${words.add}</button></header>
      ${data.schedules.length ? html`<ul class="rows">${data.schedules.map((/** @type {any} */ one) => html`<li key=${one.id}><span class="what"><span><span class="mono">${one.cron ?? words.once}</span> <span class="dim">${one.timezone}</span></span>${one.name && html`<span class="dim"><${Text} of=${one.name} /></span>`}</span>
        <span class="dim">${one.paused ? words.paused : one.next_at && html`${words.next} <time datetime=${one.next_at} title=${exact(one.next_at)}>${dayTime(one.next_at, now.value)}</time>`}</span></li>`)}</ul>` : html`<p class="dim">${words.none}</p>`}</section>
    <section class="card"><header><h2>${words.webhooks}</h2></header>
      ${data.hooks.length ? html`<ul class="rows">${data.hooks.map((/** @type {any} */ one) => html`<li key=${one.id}><span class="what"><span><${Text} of=${one.name || one.kind} />${one.paused && html` <span class="tag">${words.paused}</span>`}</span><span class="mono dim clip"><${Text} of=${one.url} /></span></span><span class="dim"><${When} at=${one.created_at} /><${Copy} text=${one.url} /></span></li>`)}</ul>` : html`<p class="dim">${words.noWebhooks}</p>`}</section>
    <p><a href="/console/schedules">${words.toSchedules}</a></p>
    ${adding && html`<${ScheduleForm} workflow=${workflow.service_id} onClose=${() => setAdding(false)} onSaved=${reload} />`}`;
}
