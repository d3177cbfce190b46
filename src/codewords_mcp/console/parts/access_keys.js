// Keys of programs: listed, made, shown once, revoked. And members: everybody with a key of their own, and revoking all keys of one.
import { post, send } from "../api.js";
import { visible } from "../format.js";
import { members as memberWords } from "../strings_explore.js";
import { settings as words } from "../strings_pages.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Confirm } from "./confirm.js";
import { Dialog } from "./dialog.js";
import { allOf } from "./pages.js";
import { Problem, useResource } from "./resource.js";
import { Table } from "./table.js";
import { Copy, now, Text, When } from "./text.js";

/** @param {AbortSignal} signal */
const load = (signal) => allOf("/keys", {}, { signal }).catch((error) => (error.status === 403 ? null : Promise.reject(error)));

export function AccessKeys() {
  const { data, error, reload } = useResource(load, []);
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState(/** @type {any} */ (null));
  return html`<section class="card">
    <header><h2>${words.keys}</h2>${data && html`<button onClick=${() => setMaking(true)}>${words.addKey}</button>`}</header>
    <${Problem} error=${error} retry=${reload} />
    ${data === null && html`<p class="dim">${words.notAdmin}</p>`}
    ${data?.length === 0 && html`<p class="dim">${words.noKeys}</p>`}
    ${data && data.length > 0 && html`<${Table} label=${words.keys} rows=${data} id=${(/** @type {any} */ key) => key.id} columns=${columns(setRevoking)} />`}
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

/** @typedef {{owner: string, valid: any[], ended: number, isAdmin: boolean, usedAt: string}} Member */

/** @param {any} key */
const isValid = (key) => !key.revoked && !(key.one_time && key.used_at) && !(key.expires_at && Date.parse(key.expires_at) < now.peek());

/** @param {any[]} keys @returns {Member[]} */
function membersOf(keys) {
  /** @type {Map<string, any[]>} */
  const byOwner = new Map();
  for (const key of keys) byOwner.set(key.owner, byOwner.get(key.owner) ?? []).get(key.owner)?.push(key);
  return [...byOwner].sort(([a], [b]) => (a < b ? -1 : 1)).map(([owner, own]) => {
    const valid = own.filter(isValid);
    return { owner, valid, ended: own.length - valid.length, isAdmin: valid.some((key) => key.kind === "admin"), usedAt: own.map((key) => key.used_at ?? "").sort().at(-1) };
  });
}

/** @param {{keys: any[], onChange: () => void}} properties */
function Members({ keys, onChange }) {
  const [removing, setRemoving] = useState(/** @type {Member | null} */ (null));
  const members = membersOf(keys);
  const revoke = async (/** @type {Member} */ member) => {
    for (const key of member.valid) await send("DELETE", `/keys/${key.id}`);
    onChange();
  };
  return html`<section class="card"><header><h2>${memberWords.title}</h2></header><p class="dim">${members.length ? memberWords.lead : memberWords.none}</p>
    ${members.length > 0 && html`<${Table} label=${memberWords.title} rows=${members} id=${(/** @type {Member} */ one) => one.owner} columns=${memberColumns(setRemoving)} />`}
    ${removing && html`<${Confirm} title=${memberWords.revokeTitle(visible(removing.owner))} lead=${memberWords.revokeLead(removing.valid.length)} action=${memberWords.revoke(visible(removing.owner))} keep=${memberWords.keep} act=${() => revoke(removing)} onClose=${() => setRemoving(null)} />`}</section>`;
}

/** @param {(member: Member) => void} remove */
const memberColumns = (remove) => [
  { name: memberWords.columns.owner, cell: (/** @type {Member} */ one) => html`<${Text} of=${one.owner} />` },
  { name: memberWords.columns.role, cell: (/** @type {Member} */ one) => (one.isAdmin ? memberWords.admin : memberWords.user) },
  { name: memberWords.columns.keys, cell: (/** @type {Member} */ one) => memberWords.keys(one.valid.length, one.ended) },
  { name: memberWords.columns.used, class: "number", cell: (/** @type {Member} */ one) => (one.usedAt ? html`<${When} at=${one.usedAt} />` : memberWords.never) },
  { name: memberWords.columns.actions, class: "number", cell: (/** @type {Member} */ one) => one.valid.length > 0 && html`<button class="danger" aria-label=${memberWords.revoke(visible(one.owner))} onClick=${() => remove(one)}>${memberWords.revokeShort}</button>` },
];
