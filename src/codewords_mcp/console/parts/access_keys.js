// Keys of programs: listed, made, shown once, revoked.
import { get, post, send } from "../api.js";
import { visible } from "../format.js";
import { settings as words } from "../strings_pages.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Confirm } from "./confirm.js";
import { Dialog } from "./dialog.js";
import { Members } from "./members.js";
import { Problem, useResource } from "./resource.js";
import { Table } from "./table.js";
import { Copy, Text, When } from "./text.js";

/** @param {AbortSignal} signal */
const load = async (signal) => (await get("/keys", {}, { signal }).catch((error) => (error.status === 403 ? { items: null } : Promise.reject(error)))).items;

export function AccessKeys() {
  const { data, error, reload } = useResource(load, []);
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState(/** @type {any} */ (null));
  return html`<section class="card">
    <header><h2>${words.keys}</h2>${data && html`<button onClick=${() => setMaking(true)}>${words.addKey}</button>`}</header>
    <${Problem} error=${error} retry=${reload} />
    ${data === null && html`<p class="dim">${words.notAdmin}</p>`}
    ${data?.length === 0 && html`<p class="dim">${words.noKeys}</p>`}
    ${data?.length > 0 && html`<${Table} label=${words.keys} rows=${data} id=${(/** @type {any} */ key) => key.id} columns=${columns(setRevoking)} />`}
    ${making && html`<${MakeKey} onClose=${() => setMaking(false)} onMade=${reload} />`}
    ${revoking && html`<${Confirm} title=${words.revokeTitle} lead=${words.revokeLead} action=${words.revoke(revoking.prefix)} keep=${words.keep}
      act=${async () => { await send("DELETE", `/keys/${revoking.id}`); reload(); }} onClose=${() => setRevoking(null)} />`}
  </section>${data && html`<${Members} keys=${data} onChange=${reload} />`}`;
}

/** @param {(key: any) => void} revoke */
const columns = (revoke) => [
  { name: words.keyColumns.prefix, cell: (/** @type {any} */ key) => html`<span class="mono">${key.prefix}…</span>` },
  { name: words.keyColumns.owner, cell: (/** @type {any} */ key) => html`<${Text} of=${key.owner} />` },
  { name: words.keyColumns.kind, cell: (/** @type {any} */ key) => key.kind },
  { name: words.keyColumns.scopes, cell: (/** @type {any} */ key) => html`<span class="dim">${[...(key.scopes ?? [words.everything]), ...(key.toolsets ?? [])].join(", ")}</span>` },
  { name: words.keyColumns.created, class: "number", cell: (/** @type {any} */ key) => html`<${When} at=${key.created_at} />` },
  { name: words.keyColumns.used, class: "number", cell: (/** @type {any} */ key) => (key.used_at ? html`<${When} at=${key.used_at} />` : words.never) },
  { name: words.keyColumns.actions, class: "number", cell: (/** @type {any} */ key) => (key.revoked ? html`<span class="tag">${words.revoked}</span>` : html`<button class="danger" aria-label=${words.revoke(key.prefix)} onClick=${() => revoke(key)}>${words.revokeShort}</button>`) },
];

/** @param {{onClose: () => void, onMade: () => void}} properties */
function MakeKey({ onClose, onMade }) {
  const [owner, setOwner] = useState("local");
  const [kind, setKind] = useState("user");
  const [readOnly, setReadOnly] = useState(false);
  const [made, setMade] = useState("");
  const action = useAction();
  const make = (/** @type {Event} */ event) => {
    event.preventDefault();
    action.run(async () => {
      const created = await post("/keys", { owner, kind, scopes: readOnly ? ["read"] : null });
      setMade(created.key ?? created.token);
      onMade();
    });
  };
  if (made) return html`<${Dialog} title=${words.addKey} onClose=${onClose}><p>${words.once}</p><div class="snippet"><pre tabindex="0">${made}</pre><${Copy} text=${made} /></div><//>`;
  return html`<${Dialog} title=${words.addKey} onClose=${onClose}>
    <form class="fields" onSubmit=${make}>
      <label>${words.owner}<input required value=${owner} onInput=${(/** @type {any} */ event) => setOwner(event.target.value)} /></label>
      <label class="check"><input type="checkbox" checked=${kind === "admin"} onChange=${() => setKind(kind === "admin" ? "user" : "admin")} />${words.admin}</label>
      <label class="check"><input type="checkbox" checked=${readOnly} onChange=${() => setReadOnly(!readOnly)} />${words.readOnly}</label>
      <${Problem} error=${action.error} />
      <div class="actions"><button class="primary" disabled=${action.working}>${words.makeKey(visible(owner))}</button></div>
    </form><//>`;
}
