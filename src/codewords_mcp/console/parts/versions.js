// The versions of a workflow: when each was made, what is different between two, and going back.
import { get, post } from "../api.js";
import { visible } from "../format.js";
import { address, href, setQuery } from "../router.js";
import { versions as words } from "../strings_workflows.js";
import { common } from "../strings.js";
import { html, useState } from "../ui.js";
import { Difference } from "./code.js";
import { Confirm } from "./confirm.js";
import { Problem, useResource } from "./resource.js";
import { Table } from "./table.js";
import { Text, When } from "./text.js";

/** @param {{workflow: any, onChange: () => void}} properties */
export function Versions({ workflow, onChange }) {
  const [target, setTarget] = useState(0);
  const rows = [...workflow.versions].sort((a, b) => b.version - a.version);
  return html`<section class="card"><header><h2>${words.title}</h2></header>
      <${Table} label=${words.title} rows=${rows} id=${(/** @type {any} */ row) => row.version_id} columns=${columns(workflow, setTarget)} /></section>
    ${rows.length > 1 ? html`<${Comparison} workflow=${workflow} versions=${rows.map((one) => one.version)} />` : html`<p class="dim">${words.one}</p>`}
    ${target > 0 && html`<${Confirm} title=${words.backTitle(target)} lead=${words.backLead(target, workflow.version)} action=${words.back(target)} keep=${words.keep(workflow.version)}
      act=${async () => { await post(`/workflows/${encodeURIComponent(workflow.service_id)}/rollback`, { version: target }); onChange(); }} onClose=${() => setTarget(0)} />`}`;
}

/** @param {any} workflow @param {(version: number) => void} back */
const columns = (workflow, back) => [
  { name: words.columns.version, cell: (/** @type {any} */ row) => html`<a href=${href(`/console/workflows/${encodeURIComponent(workflow.service_id)}`, { tab: "code", version: row.version })}>${common.version(row.version)}</a>${row.active && html` <span class="tag">${words.live}</span>`}` },
  { name: words.columns.made, cell: (/** @type {any} */ row) => html`<${When} at=${row.created_at} />${row.deployed_by && html` <span class="dim">${words.by} <${Text} of=${row.deployed_by} /></span>`}` },
  { name: words.columns.note, cell: (/** @type {any} */ row) => html`<span class="dim brief" title=${visible(row.description)}><${Text} of=${row.description} /></span>` },
  { name: words.columns.actions, class: "number", cell: (/** @type {any} */ row) => !row.active && html`<button aria-label=${words.backOf(row.version)} onClick=${() => back(row.version)}>${words.backShort}</button>` },
];

/** @param {{workflow: any, versions: number[]}} properties */
function Comparison({ workflow, versions }) {
  const { query } = address.value;
  const version = Number(query.get("version")) || workflow.version;
  const against = Number(query.get("against")) || versions.find((one) => one < version) || versions.find((one) => one !== version);
  const { data, error, reload } = useResource((signal) => get(`/workflows/${encodeURIComponent(workflow.service_id)}/diff`, { version, against }, { signal }), [version, against, workflow.service_id]);
  return html`<section class="card"><header><h2>${words.compare}</h2><div class="actions"><${Choice} label=${words.of} name="version" chosen=${version} versions=${versions} /><${Choice} label=${words.against} name="against" chosen=${against} versions=${versions} /></div></header>
    <${Problem} error=${error} retry=${reload} />
    ${data && (data.diff ? html`<${Difference} text=${data.diff} label=${words.compare} />` : html`<p class="dim">${words.same}</p>`)}</section>`;
}

/** @param {{label: string, name: string, chosen: number | undefined, versions: number[]}} properties */
const Choice = ({ label, name, chosen, versions }) => html`<label><span class="dim">${label}</span> <select onChange=${(/** @type {any} */ event) => setQuery({ [name]: event.target.value })}>${versions.map((one) => html`<option value=${String(one)} selected=${one === chosen}>${one}</option>`)}</select></label>`;
