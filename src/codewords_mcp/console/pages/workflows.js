// Workflows: what there is, how its last runs ended, what starts it.
import { get } from "../api.js";
import { visible } from "../format.js";
import { address, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { workflows as words } from "../strings_workflows.js";
import { html, styles } from "../ui.js";
import { WorkflowLink } from "../parts/link.js";
import { workflows } from "../parts/names.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { RunMarks } from "../parts/run_marks.js";
import { Search } from "../parts/narrow.js";
import { Text, useTitle, When } from "../parts/text.js";

await styles("pages/workflows.css");

const RUNS = 50;
const SHOWN = 200;

/** Schedules and last runs of all workflows, by workflow. @param {AbortSignal} signal */
async function load(signal) {
  const [schedules, runs] = await Promise.all([get("/schedules", {}, { signal }), get("/runs", { limit: RUNS }, { signal })]);
  return { schedules: grouped(schedules.items, "service_id"), runs: grouped(runs.items, "serviceId") };
}

/** @param {any[]} items @param {string} by @returns {Map<string, any[]>} */
function grouped(items, by) {
  const found = new Map();
  for (const item of items) found.set(item[by], [...(found.get(item[by]) ?? []), item]);
  return found;
}

export default function Workflows() {
  useTitle(PAGE_NAMES.workflows);
  const { data, error, reload } = useResource(load, [], changesOf("run", "runs", "schedules"));
  if (!workflows.value) return null;

  const query = address.value.query.get("q") ?? "";
  const wanted = query.toLowerCase();
  const all = [...workflows.value.values()];
  const found = all.filter((one) => `${one.name}\n${one.description}\n${one.service_id}`.toLowerCase().includes(wanted));
  return html`
    <header class="head split"><h1>${query ? words.found(found.length) : words.headline(all.length)}</h1><div class="actions"><a class="button" href="/console/drafts/new">${words.blank}</a><a class="button" href="/console/templates">${words.template}</a></div></header>
    <${Problem} error=${error} retry=${reload} />
    ${all.length > 0 && html`<${Search} label=${words.search} value=${query} onChange=${(/** @type {string} */ q) => setQuery({ q: q || null })} />`}
    ${all.length === 0 && html`<div class="card empty"><p>${words.empty}</p><a class="button primary" href="/console/templates">${words.template}</a></div>`}
    ${all.length > 0 && !found.length && html`<div class="card empty"><p>${words.none}</p><button onClick=${() => setQuery({ q: null })}>${words.clear}</button></div>`}
    ${found.length > 0 && html`<ul class="card rows workflow-rows">${found.slice(0, SHOWN).map((one) => html`<li key=${one.service_id}><${Row} workflow=${one} runs=${data?.runs.get(one.service_id) ?? []} schedules=${data?.schedules.get(one.service_id)?.length ?? 0} /></li>`)}</ul>`}`;
}

/** @param {{workflow: import("../parts/names.js").Workflow, runs: any[], schedules: number}} properties */
const Row = ({ workflow, runs, schedules }) => html`
  <div class="what"><strong><${WorkflowLink} id=${workflow.service_id} /></strong>
    ${workflow.description && html`<span class="dim brief"><${Text} of=${workflow.description} /></span>`}
    <span class="dim small">${words.version(workflow.version)} · ${words.changed} <${When} at=${workflow.updated_at} />${schedules > 0 && html` · <a href="/console/schedules">${words.schedules(schedules)}</a>`}</span></div>
  <div class="marks-and-run"><${RunMarks} runs=${runs} /><a class="button" aria-label=${words.run(visible(workflow.name))} href=${`/console/workflows/${encodeURIComponent(workflow.service_id)}`}>${words.runShort}</a></div>`;
