// What starts a workflow besides people: its schedules, webhooks and event sources.
import { schedules as all } from "../strings_pages.js";
import { starts as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { allOf } from "./pages.js";
import { changesOf, Problem, useResource } from "./resource.js";
import { Copy, Text, When } from "./text.js";
import { TriggerForm } from "./trigger_form.js";

/** @param {{workflow: any}} properties */
export function Starts({ workflow }) {
  const service_id = workflow.service_id;
  const { data, error, reload } = useResource((signal) => allOf("/triggers", { service_id }, { signal }), [service_id], changesOf("schedules", "webhooks"));
  const [adding, setAdding] = useState(false);
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  return html`
    <section class="card"><header><h2>${words.title}</h2><button onClick=${() => setAdding(true)}>${all.add}</button></header>
      ${data.length ? html`<ul class="rows">${data.map((/** @type {any} */ one) => html`<li key=${one.id}><span class="what"><span><span class="mono">${one.schedule ? one.schedule.cron ?? all.once : one.kind}</span> ${one.name && html`<${Text} of=${one.name} />`}</span>
          <span class="dim clip"><${Text} of=${one.problem || one.note || one.url || one.schedule?.timezone} /></span></span>
        <span class="dim">${one.state === "paused" ? html`<span class="tag">${all.paused}</span>` : one.next_at && html`${words.next} <${When} at=${one.next_at} />`}${one.url && html` <${Copy} text=${one.url} />`}</span></li>`)}</ul>` : html`<p class="dim">${words.none}</p>`}</section>
    <p><a href="/console/schedules">${words.toSchedules}</a></p>
    ${adding && html`<${TriggerForm} workflow=${service_id} onClose=${() => setAdding(false)} onSaved=${reload} />`}`;
}
