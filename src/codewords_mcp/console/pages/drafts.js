// Drafts: code that is being worked on, and where to begin.
import { call, get } from "../api.js";
import { exact, visible } from "../format.js";
import { PAGE_NAMES } from "../strings.js";
import { drafts as words } from "../strings_drafts.js";
import { html, useState } from "../ui.js";
import { useAction } from "../parts/action.js";
import { Confirm } from "../parts/confirm.js";
import { Dialog } from "../parts/dialog.js";
import { WorkflowLink } from "../parts/link.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Table } from "../parts/table.js";
import { Text, useTitle, When } from "../parts/text.js";

/** @param {AbortSignal} signal */
const load = async (signal) => (await get("/drafts", {}, { signal })).items;

export default function Drafts() {
  useTitle(PAGE_NAMES.drafts);
  const { data, error, reload } = useResource(load, [], changesOf("drafts", "workflows"));
  const [renaming, setRenaming] = useState(/** @type {any} */ (null));
  const [removing, setRemoving] = useState(/** @type {any} */ (null));
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;

  const begin = html`<div class="actions"><a class="button primary" href="/console/drafts/new">${words.blank}</a><a class="button" href="/console/templates">${words.template}</a></div>`;
  return html`
    <header class="head split"><h1>${words.headline(data.length, data.filter((/** @type {any} */ one) => one.ready).length)}</h1>${data.length > 0 && begin}</header>
    <p class="dim">${words.lead}</p>
    <${Problem} error=${error} retry=${reload} />
    ${data.length ? html`<${Table} label=${words.table} rows=${data} id=${(/** @type {any} */ row) => row.draft_id} columns=${columns(setRenaming, setRemoving)} />`
      : html`<div class="card empty"><p>${words.empty}</p>${begin}</div>`}
    ${renaming && html`<${Rename} draft=${renaming} onDone=${reload} onClose=${() => setRenaming(null)} />`}
    ${removing && html`<${Confirm} title=${words.removeTitle(visible(removing.name))} lead=${words.removeLead} action=${words.remove(visible(removing.name))} keep=${words.keep}
      act=${async () => { await call("DELETE", `/drafts/${removing.draft_id}`); reload(); }} onClose=${() => setRemoving(null)} />`}`;
}

/** @param {any} draft */
const problems = (draft) => draft.checks.filter((/** @type {any} */ check) => check.status === "failed").length;

/** @param {{draft: any, onDone: () => void, onClose: () => void}} properties */
function Rename({ draft, onDone, onClose }) {
  const [name, setName] = useState(draft.name);
  const action = useAction();
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    action.run(async () => {
      await call("PUT", `/drafts/${draft.draft_id}/name`, { body: { name } });
      onClose();
      onDone();
    });
  };
  return html`<${Dialog} title=${words.rename(visible(draft.name))} onClose=${onClose}>
    <form class="fields" onSubmit=${save}>
      <label>${words.name}<input autofocus required maxlength="100" value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} /></label>
      <${Problem} error=${action.error} />
      <div class="actions"><button class="primary" disabled=${action.working}>${words.renameShort}</button></div>
    </form><//>`;
}

/** @param {(draft: any) => void} rename @param {(draft: any) => void} remove */
const columns = (rename, remove) => [
  { name: words.columns.name, cell: (/** @type {any} */ row) => html`<a href=${`/console/drafts/${row.draft_id}`}><${Text} of=${row.name} /></a>` },
  { name: words.columns.of, cell: (/** @type {any} */ row) => (row.workflow_id ? html`<span><${WorkflowLink} id=${row.workflow_id} /> <span class="dim">${words.of(row.base_version)}</span></span>` : html`<span class="dim">${words.fresh}</span>`) },
  { name: words.columns.changed, cell: (/** @type {any} */ row) => html`<span title=${words.expires(exact(row.expires_at))}><${When} at=${row.updated_at} /></span>` },
  { name: words.columns.state, cell: (/** @type {any} */ row) => (row.ready ? html`<span class="good">${words.ready}</span>` : html`<span class="bad">${words.problems(problems(row))}</span>`) },
  { name: words.columns.actions, class: "number", cell: (/** @type {any} */ row) => html`<span class="actions"><button aria-label=${words.rename(visible(row.name))} onClick=${() => rename(row)}>${words.renameShort}</button>
      <button aria-label=${words.remove(visible(row.name))} onClick=${() => remove(row)}>${words.removeShort}</button></span>` },
];
