// Keys of programs: listed, made, shown once, revoked. And owners: everybody with a key of their own, and revoking all keys of one.
import { send } from "../api.js";
import { visible } from "../format.js";
import { keys as words, owners as ownerWords } from "../strings_members.js";
import { html, useState } from "../ui.js";
import { Confirm } from "./confirm.js";
import { MakeKey } from "./make_key.js";
import { allOf } from "./pages.js";
import { Problem, useResource } from "./resource.js";
import { Table } from "./table.js";
import { now, Text, When } from "./text.js";

/** @param {{members?: any[], own?: any, scopes?: string[]}} properties  `members`: those of the home, whom a key can belong to. `own`: the member whose keys alone these are. `scopes`: all that a key of theirs may do. */
export function AccessKeys({ members = [], own, scopes }) {
  const path = own ? "/me/keys" : "/keys";
  const { data, error, reload } = useResource((signal) => allOf(path, {}, { signal }), [members.length]);
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState(/** @type {any} */ (null));
  return html`<section class="card">
    <header><h2>${own ? words.own : words.title}</h2>${data && html`<button onClick=${() => setMaking(true)}>${words.add}</button>`}</header>
    <${Problem} error=${error} retry=${reload} />
    ${data?.length === 0 && html`<p class="dim">${words.none}</p>`}
    ${data && data.length > 0 && html`<${Table} label=${words.title} rows=${data} id=${(/** @type {any} */ key) => key.id} columns=${columns(own ? [own] : members, setRevoking)} />`}
    ${making && html`<${MakeKey} members=${members} own=${own} scopes=${scopes} onClose=${() => setMaking(false)} onMade=${reload} />`}
    ${revoking && html`<${Confirm} title=${words.revokeTitle} lead=${words.revokeLead} action=${words.revoke(revoking.prefix)} keep=${words.keep}
      act=${async () => { await send("DELETE", `${path}/${revoking.id}`); reload(); }} onClose=${() => setRevoking(null)} />`}
  </section>${data && !own && html`<${Owners} keys=${data} onChange=${reload} />`}`;
}

/** @param {any[]} members @param {(key: any) => void} revoke */
const columns = (members, revoke) => [
  { name: words.columns.prefix, cell: (/** @type {any} */ key) => html`<span class="mono">${key.prefix}…</span>` },
  { name: words.columns.owner, cell: (/** @type {any} */ key) => html`<${Text} of=${holderOf(key, members)} />` },
  { name: words.columns.kind, cell: (/** @type {any} */ key) => key.kind },
  { name: words.columns.scopes, cell: (/** @type {any} */ key) => html`<span class="dim">${[...(key.scopes ?? [key.member ? words.asMember : words.everything]), ...(key.toolsets ?? [])].join(", ")}</span>` },
  { name: words.columns.created, class: "number", cell: (/** @type {any} */ key) => html`<${When} at=${key.created_at} />` },
  { name: words.columns.used, class: "number", cell: (/** @type {any} */ key) => (key.used_at ? html`<${When} at=${key.used_at} />` : words.never) },
  { name: words.columns.actions, class: "number", cell: (/** @type {any} */ key) => (key.revoked ? html`<span class="tag">${words.revoked}</span>` : html`<button class="danger" aria-label=${words.revoke(key.prefix)} onClick=${() => revoke(key)}>${words.revokeShort}</button>`) },
];

/** @param {any} key @param {any[]} members */
const holderOf = (key, members) => (key.member ? members.find((one) => one.id === key.member)?.name ?? words.gone : key.owner);

/** @typedef {{owner: string, valid: any[], ended: number, isAdmin: boolean, usedAt: string}} Owner */

/** @param {any} key */
export const isValid = (key) => !key.revoked && !(key.one_time && key.used_at) && !(key.expires_at && Date.parse(key.expires_at) < now.peek());

/** @param {any[]} keys @returns {Owner[]} */
function ownersOf(keys) {
  /** @type {Map<string, any[]>} */
  const byOwner = new Map();
  for (const key of keys) byOwner.set(key.owner, byOwner.get(key.owner) ?? []).get(key.owner)?.push(key);
  return [...byOwner].sort(([a], [b]) => (a < b ? -1 : 1)).map(([owner, own]) => {
    const valid = own.filter(isValid);
    return { owner, valid, ended: own.length - valid.length, isAdmin: valid.some((key) => key.kind === "admin"), usedAt: own.map((key) => key.used_at ?? "").sort().at(-1) };
  });
}

/** @param {{keys: any[], onChange: () => void}} properties */
function Owners({ keys, onChange }) {
  const [removing, setRemoving] = useState(/** @type {Owner | null} */ (null));
  const owners = ownersOf(keys.filter((key) => !key.member));
  if (owners.every(({ owner }) => owner === "local")) return null;
  const revoke = async (/** @type {Owner} */ owner) => {
    for (const key of owner.valid) await send("DELETE", `/keys/${key.id}`);
    onChange();
  };
  return html`<section class="card"><header><h2>${ownerWords.title}</h2></header><p class="dim">${ownerWords.lead}</p>
    <${Table} label=${ownerWords.title} rows=${owners} id=${(/** @type {Owner} */ one) => one.owner} columns=${ownerColumns(setRemoving)} />
    ${removing && html`<${Confirm} title=${ownerWords.revokeTitle(visible(removing.owner))} lead=${ownerWords.revokeLead(removing.valid.length)} action=${ownerWords.revoke(visible(removing.owner))} keep=${ownerWords.keep} act=${() => revoke(removing)} onClose=${() => setRemoving(null)} />`}</section>`;
}

/** @param {(owner: Owner) => void} remove */
const ownerColumns = (remove) => [
  { name: ownerWords.columns.owner, cell: (/** @type {Owner} */ one) => html`<${Text} of=${one.owner} />` },
  { name: ownerWords.columns.role, cell: (/** @type {Owner} */ one) => (one.isAdmin ? ownerWords.admin : ownerWords.user) },
  { name: ownerWords.columns.keys, cell: (/** @type {Owner} */ one) => ownerWords.keys(one.valid.length, one.ended) },
  { name: ownerWords.columns.used, class: "number", cell: (/** @type {Owner} */ one) => (one.usedAt ? html`<${When} at=${one.usedAt} />` : ownerWords.never) },
  { name: ownerWords.columns.actions, class: "number", cell: (/** @type {Owner} */ one) => one.valid.length > 0 && html`<button class="danger" aria-label=${ownerWords.revoke(visible(one.owner))} onClick=${() => remove(one)}>${ownerWords.revokeShort}</button>` },
];
