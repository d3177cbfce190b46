// A workflow: a form that runs it, its code and versions, what starts it and what it may reach.
import { get } from "../api.js";
import { visible } from "../format.js";
import { address, go, href } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { workflow as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { RunForm } from "../parts/form.js";
import { lazy } from "../parts/lazy.js";
import { RunLink } from "../parts/link.js";
import { Missing } from "../parts/needed_secrets.js";
import { OwnPage } from "../parts/own_page.js";
import { Problem, useResource } from "../parts/resource.js";
import { Status } from "../parts/status.js";
import { Tabs } from "../parts/tabs.js";
import { Copy, Text, useTitle, When } from "../parts/text.js";

const Removal = lazy(async () => (await import("../parts/removal.js")).Removal);
const RESET = { against: null, version: null };
const TABS = /** @type {Record<string, Function>} */ ({
  run: Run,
  code: lazy(async () => (await import("../parts/code.js")).Code),
  versions: lazy(async () => (await import("../parts/versions.js")).Versions),
  history: lazy(async () => (await import("../parts/history.js")).History),
  starts: lazy(async () => (await import("../parts/starts.js")).Starts),
  reach: lazy(async () => (await import("../parts/reach.js")).Reach),
  use: lazy(async () => (await import("../parts/snippets.js")).Snippets),
});

/** Sections of another owner's workflow. */
const FOREIGN = new Set(["run", "reach", "use"]);

/** @param {{parameters: string[]}} properties */
export default function Workflow({ parameters: [id] }) {
  const path = `/workflows/${encodeURIComponent(id)}`;
  const concerns = (/** @type {import("../api.js").Change} */ { name, data }) => name === "workflows" || (name === "run" && data.service_id === id);
  const { data, error, reload } = useResource((signal) => get(path, {}, { signal }), [id], concerns);
  const [removing, setRemoving] = useState(false);
  useTitle(data ? visible(data.name) : PAGE_NAMES.workflows);
  if (!data) {
    return html`<${Problem} error=${error} retry=${reload} all=${["/console/workflows", words.all]} />`;
  }

  const { query } = address.value;
  // Code beside another version's is the comparison, which also says where there is no such version.
  const chosen = query.get("tab") === "code" && query.get("against") ? "versions" : query.get("tab") ?? "run";
  const foreign = data.published_by;
  const tabs = words.tabs.filter(([name]) => !foreign || FOREIGN.has(name));
  const tab = tabs.some(([name]) => name === chosen) ? chosen : "run";
  return html`
    <header class="head">
      <nav class="crumbs" aria-label=${PAGE_NAMES.workflows}><a href="/console/workflows">${PAGE_NAMES.workflows}</a></nav>
      <div class="split"><h1><${Text} of=${data.name} /></h1>${!foreign && html`<div class="actions"><button class="danger" onClick=${() => setRemoving(true)}>${words.remove}</button></div>`}</div>
      ${foreign && html`<p><${Text} of=${words.by(foreign)} /></p>`}
      ${data.description && html`<p class="dim"><${Text} of=${data.description} /></p>`}
      <dl class="facts"><div title=${words.facts.version}><dt>${words.facts.version}</dt><dd>${words.live(data.version)}</dd></div>
        <div title=${words.facts.url}><dt>${words.facts.url}</dt><dd><span class="mono"><${Text} of=${data.service_id} /></span><${Copy} text=${data.url} label=${words.facts.url} /></dd></div></dl>
      <${OwnPage} workflow=${data} />
    </header>
    <${Problem} error=${error} />
    <${Tabs} label=${words.sections} tabs=${tabs} chosen=${tab} reset=${RESET} />
    <${TABS[tab]} workflow=${data} onChange=${reload} />
    ${removing && html`<${Removal} workflow=${data} onClose=${() => setRemoving(false)} onRemoved=${() => go("/console/workflows")} />`}`;
}

/** The form beside the last runs. @param {{workflow: any}} properties */
function Run({ workflow }) {
  return html`<${Missing} workflow=${workflow} />
    <div class="columns"><${RunForm} workflow=${workflow} /><section class="card"><header><h2>${words.lastRuns}</h2>${workflow.last_runs.length > 0 && html`<a href=${href("/console/runs", { service_id: workflow.service_id })}>${words.allRuns}</a>`}</header>
      ${workflow.last_runs.length ? html`<ul class="rows">${workflow.last_runs.map((/** @type {any} */ run) => html`<li key=${run.id}><span class="what"><${RunLink} id=${run.id}><${Status} of=${run.status} /><//>
          <span class="dim clip"><${Text} of=${firstArguments({ requestPath: run.input?.path, requestContent: run.input?.content ?? null })} /></span></span><span class="dim"><${When} at=${run.created_at} /></span></li>`)}</ul>`
        : html`<p class="dim">${words.noRuns}</p>`}</section></div>`;
}

/** Its first arguments, as one line. @param {{requestPath?: string, requestContent: string | null}} run */
function firstArguments(run) {
  const query = run.requestPath && run.requestPath !== "/" ? run.requestPath : "";
  return [query, argumentsOf(run.requestContent)].filter(Boolean).join(" ");
}

/** @param {string | null} content */
function argumentsOf(content) {
  if (!content) return "";
  try {
    const value = JSON.parse(content);
    if (value && typeof value === "object" && !Array.isArray(value)) {
      return Object.entries(value).map(([name, argument]) => `${name}: ${typeof argument === "string" ? argument : JSON.stringify(argument)}`).join(", ");
    }
  } catch {
    // Text that is not JSON, or whose end was not kept, is shown as it is.
  }
  return content.slice(0, 300).replace(/\s+/g, " ");
}
