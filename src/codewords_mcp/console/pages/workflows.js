// Workflows: what there is, how its last runs ended, what starts it.
import { visible } from "../format.js";
import { address, setQuery } from "../router.js";
import { common, PAGE_NAMES } from "../strings.js";
import { workflows as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { RunLink, WorkflowLink } from "../parts/link.js";
import { MOST_NAMED, workflows } from "../parts/names.js";
import { firstOf, PIECE } from "../parts/pages.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Search } from "../parts/narrow.js";
import { Status } from "../parts/status.js";
import { Text, useTitle, When } from "../parts/text.js";

const MARKS = 8;

export default function Workflows() {
  useTitle(PAGE_NAMES.workflows);
  const query = address.value.query.get("q") ?? "";
  const [most, setMost] = useState(PIECE);
  const { data, error, reload } = useResource((signal) => firstOf("/workflows", { query, recent: 1 }, most, { signal }), [query, most], changesOf("run", "runs", "schedules", "workflows"));
  if (!data || !workflows.value) return html`<${Problem} error=${error} retry=${reload} />`;

  const { items, more } = data;
  const known = workflows.value.size;
  const none = !items.length && !query;
  return html`
    <header class="head split"><h1>${query ? words.found(items.length, more) : words.headline(Math.max(items.length, known), more && known >= MOST_NAMED)}</h1><div class="actions"><a class="button" href="/console/drafts/new">${words.blank}</a><a class="button" href="/console/templates">${words.template}</a></div></header>
    <${Problem} error=${error} retry=${reload} />
    ${none ? html`<div class="card empty"><p>${words.empty}</p><a class="button primary" href="/console/templates">${words.template}</a></div>`
      : html`<${Search} label=${words.search} value=${query} onChange=${(/** @type {string} */ q) => setQuery({ q: q || null })} />`}
    ${query && !items.length && html`<div class="card empty"><p>${words.none}</p><button onClick=${() => setQuery({ q: null })}>${words.clear}</button></div>`}
    ${items.length > 0 && html`<ul class="card rows workflow-rows">${items.map((one) => html`<li key=${one.service_id}><${Row} workflow=${one} /></li>`)}</ul>`}
    ${more && html`<p class="more"><button onClick=${() => setMost(items.length + PIECE)}>${common.more}</button></p>`}`;
}

/** @param {{workflow: any}} properties */
const Row = ({ workflow }) => html`
  <div class="what"><strong><${WorkflowLink} id=${workflow.service_id} /></strong>
    ${workflow.description && html`<span class="dim brief"><${Text} of=${workflow.description} /></span>`}
    <span class="dim small">${words.version(workflow.version)} · ${words.changed} <${When} at=${workflow.updated_at} />${workflow.schedules > 0 && html` · <a href="/console/schedules">${words.schedules(workflow.schedules)}</a>`}</span></div>
  <div class="marks-and-run"><${RunMarks} runs=${workflow.recent} /><a class="button" aria-label=${words.run(visible(workflow.name))} href=${`/console/workflows/${encodeURIComponent(workflow.service_id)}`}>${words.runShort}</a></div>`;

/** The last runs of a workflow as marks, the newest at the right. @param {{runs: {id: string, status: string}[]}} properties  The newest first. */
const RunMarks = ({ runs }) => (runs.length
  ? html`<span class="marks" role="group" aria-label=${words.lastRuns}>${runs.slice(0, MARKS).reverse().map((run) => html`<${RunLink} key=${run.id} id=${run.id}><${Status} of=${run.status} word=${false} /><//>`)}</span>`
  : html`<span class="dim small">${words.noRuns}</span>`);
