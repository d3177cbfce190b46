// Members: everybody with a key of their own, and revoking all keys of one.
import { send } from "../api.js";
import { visible } from "../format.js";
import { members as words } from "../strings_explore.js";
import { html, useState } from "../ui.js";
import { Confirm } from "./confirm.js";
import { Table } from "./table.js";
import { now, Text, When } from "./text.js";

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
export function Members({ keys, onChange }) {
  const [removing, setRemoving] = useState(/** @type {Member | null} */ (null));
  const members = membersOf(keys);
  const revoke = async (/** @type {Member} */ member) => {
    for (const key of member.valid) await send("DELETE", `/keys/${key.id}`);
    onChange();
  };
  return html`<section class="card"><header><h2>${words.title}</h2></header><p class="dim">${members.length ? words.lead : words.none}</p>
    ${members.length > 0 && html`<${Table} label=${words.title} rows=${members} id=${(/** @type {Member} */ one) => one.owner} columns=${columns(setRemoving)} />`}
    ${removing && html`<${Confirm} title=${words.revokeTitle(visible(removing.owner))} lead=${words.revokeLead(removing.valid.length)} action=${words.revoke(visible(removing.owner))} keep=${words.keep} act=${() => revoke(removing)} onClose=${() => setRemoving(null)} />`}</section>`;
}

/** @param {(member: Member) => void} remove */
const columns = (remove) => [
  { name: words.columns.owner, cell: (/** @type {Member} */ one) => html`<${Text} of=${one.owner} />` },
  { name: words.columns.role, cell: (/** @type {Member} */ one) => (one.isAdmin ? words.admin : words.user) },
  { name: words.columns.keys, cell: (/** @type {Member} */ one) => words.keys(one.valid.length, one.ended) },
  { name: words.columns.used, class: "number", cell: (/** @type {Member} */ one) => (one.usedAt ? html`<${When} at=${one.usedAt} />` : words.never) },
  { name: words.columns.actions, class: "number", cell: (/** @type {Member} */ one) => one.valid.length > 0 && html`<button class="danger" aria-label=${words.revoke(visible(one.owner))} onClick=${() => remove(one)}>${words.revokeShort}</button>` },
];
