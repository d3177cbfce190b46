// The members of the home with their roles: added, given a link or another role, and removed.
import { send } from "../api.js";
import { visible } from "../format.js";
import { members as words } from "../strings_members.js";
import { html, useState } from "../ui.js";
import { Confirm } from "./confirm.js";
import { Invite, NewLink } from "./member_invite.js";
import { RemoveMember } from "./member_removal.js";
import { Roles, rolesUpTo } from "./member_roles.js";
import { Table } from "./table.js";
import { Text, When } from "./text.js";

/** @typedef {{act: "invite" | "link" | "role" | "remove", of?: any}} Asked */

/** @param {{me: any, members: any[], onChange: () => void}} properties  `me`: the member who looks, if one does. */
export function MemberList({ me, members, onChange }) {
  const [asked, setAsked] = useState(/** @type {Asked | null} */ (null));
  const close = () => setAsked(null);
  const shared = { me, member: asked?.of, onClose: close, onDone: onChange };
  return html`<section class="card">
    <header><h2>${words.title}</h2><button onClick=${() => setAsked({ act: "invite" })}>${words.invite}</button></header>
    <p class="dim">${members.length ? words.lead : words.none}</p>
    ${members.length > 0 && html`<${Table} label=${words.title} rows=${members} id=${(/** @type {any} */ one) => one.id} columns=${columns(me, setAsked)} />`}
    ${asked?.act === "invite" && html`<${Invite} ...${shared} />`}
    ${asked?.act === "link" && html`<${NewLink} ...${shared} />`}
    ${asked?.act === "role" && html`<${ChangeRole} ...${shared} />`}
    ${asked?.act === "remove" && html`<${RemoveMember} ...${shared} />`}</section>`;
}

/** @param {any} me @param {(asked: Asked) => void} ask */
const columns = (me, ask) => [
  { name: words.columns.name, cell: (/** @type {any} */ one) => html`<${Text} of=${one.name} />${one.id === me?.id && html` <span class="tag">${words.self}</span>`}` },
  { name: words.columns.role, cell: (/** @type {any} */ one) => one.role },
  { name: words.columns.state, cell: (/** @type {any} */ one) => html`<${State} of=${one} />` },
  { name: words.columns.since, class: "number", cell: (/** @type {any} */ one) => html`<${When} at=${one.joined_at ?? one.created_at} />` },
  { name: words.columns.actions, class: "number", cell: (/** @type {any} */ one) => html`<span class="actions">
    ${one.kind === "person" && html`<button aria-label=${words.newLink(visible(one.name))} onClick=${() => ask({ act: "link", of: one })}>${words.newLinkShort}</button>`}
    <button aria-label=${words.change(visible(one.name))} onClick=${() => ask({ act: "role", of: one })}>${words.changeShort}</button>
    <button class="danger" aria-label=${words.remove(visible(one.name))} onClick=${() => ask({ act: "remove", of: one })}>${words.removeShort}</button></span>` },
];

/** @param {{of: any}} properties */
function State({ of: one }) {
  if (one.kind === "service") return words.service;
  if (one.invited_until) return html`${one.joined_at ? words.again : words.invited} <${When} at=${one.invited_until} />`;
  return one.joined_at ? words.joined : words.over;
}

/** @param {{me: any, member: any, onClose: () => void, onDone: () => void}} properties */
function ChangeRole({ me, member, onClose, onDone }) {
  const [role, setRole] = useState(member.role);
  const name = visible(member.name);
  const change = async () => {
    await send("PUT", `/members/${member.id}`, { body: { role } });
    onDone();
  };
  return html`<${Confirm} title=${words.change(name)} lead=${words.changeLead} action=${words.give(name, role)} keep=${words.keepRole} plain act=${change} onClose=${onClose}>
    <${Roles} roles=${rolesUpTo(me, member.kind)} value=${role} onChange=${setRole} /><//>`;
}
