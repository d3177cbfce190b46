// Secrets: their names, where they may be sent and who uses them; never a value.
import { call, post, send } from "../api.js";
import { visible } from "../format.js";
import { common, PAGE_NAMES } from "../strings.js";
import { secrets as words } from "../strings_pages.js";
import { html, useState } from "../ui.js";
import { openPage, useAction } from "../parts/action.js";
import { Confirm } from "../parts/confirm.js";
import { Dialog } from "../parts/dialog.js";
import { WorkflowLink } from "../parts/link.js";
import { idOf } from "../parts/names.js";
import { firstOf, PIECE } from "../parts/pages.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Table } from "../parts/table.js";
import { Text, useTitle, When } from "../parts/text.js";

/** Open the one-time page on which a value is typed: it never passes through the console. @param {string} name @param {string[]} [hosts] */
async function enter(name, hosts = []) {
  openPage((await post(`/secrets/${encodeURIComponent(name)}/entry`, { hosts })).url);
}

export default function Secrets() {
  useTitle(PAGE_NAMES.secrets);
  const [most, setMost] = useState(PIECE);
  const { data: listed, error, reload } = useResource((signal) => firstOf("/secrets", {}, most, { signal }), [most], changesOf("secrets", "workflows"));
  const action = useAction();
  const [adding, setAdding] = useState(false);
  const [deleting, setDeleting] = useState(/** @type {any} */ (null));
  const data = listed?.items;
  if (!listed || !data) return html`<${Problem} error=${error} retry=${reload} />`;

  const plain = data.filter((/** @type {any} */ secret) => secret.held === "plain").length;
  return html`
    <header class="head split"><h1>${listed.more ? words.many(data.length) : words.headline(data.length, plain)}</h1><div class="actions"><button class="primary" onClick=${() => setAdding(true)}>${words.add}</button></div></header>
    <${Problem} error=${error ?? action.error} />
    ${data.length ? html`<section class="card"><${Table} label=${PAGE_NAMES.secrets} whole rows=${data} id=${(/** @type {any} */ secret) => secret.name}
        columns=${columns((secret) => action.run(() => enter(secret.name, secret.hosts)), setDeleting)} />
        ${listed.more && html`<p class="more"><button onClick=${() => setMost(data.length + PIECE)}>${common.more}</button></p>`}</section>`
      : html`<div class="card empty"><p>${words.empty}</p></div>`}
    ${adding && html`<${Add} added=${reload} onClose=${() => setAdding(false)} />`}
    ${deleting && html`<${Confirm} title=${words.deleteTitle(visible(deleting.name))} lead=${words.deleteLead(deleting.used_by.length)} action=${words.remove(visible(deleting.name))} keep=${words.keep}
      act=${async () => { await send("DELETE", `/secrets/${encodeURIComponent(deleting.name)}`); reload(); }} onClose=${() => setDeleting(null)} />`}`;
}

/** @param {(secret: any) => void} rotate @param {(secret: any) => void} remove */
const columns = (rotate, remove) => [
  { name: words.columns.name, cell: (/** @type {any} */ secret) => html`<span class="mono"><${Text} of=${secret.name} /></span>` },
  { name: words.columns.held, cell: (/** @type {any} */ secret) => html`<span class="dim">${words.held[secret.held]}${secret.source && html`, ${words.keptAt} <span class="mono"><${Text} of=${secret.source} /></span>`}</span>` },
  { name: words.columns.hosts, cell: (/** @type {any} */ secret) => (secret.hosts.length ? html`<span class="mono"><${Text} of=${secret.hosts.join(", ")} /></span>` : html`<span class="dim">${words.anyHost}</span>`) },
  { name: words.columns.used, cell: (/** @type {any} */ secret) => (secret.used_by.length ? secret.used_by.map((/** @type {string} */ name, /** @type {number} */ n) => html`${n > 0 && ", "}${idOf(name) ? html`<${WorkflowLink} id=${idOf(name)} />` : html`<${Text} of=${name} />`}`) : html`<span class="dim">${words.unused}</span>`) },
  { name: words.columns.updated, class: "number", cell: (/** @type {any} */ secret) => html`<${When} at=${secret.updated_at} />${secret.expires_at && html` <span class="dim">${words.ends} <${When} at=${secret.expires_at} /></span>`}` },
  { name: words.columns.actions, class: "number", cell: (/** @type {any} */ secret) => html`<span class="actions">
      <button aria-label=${words.rotate(visible(secret.name))} onClick=${() => rotate(secret)}>${words.rotateShort}</button>
      <button class="danger" aria-label=${words.remove(visible(secret.name))} onClick=${() => remove(secret)}>${words.deleteShort}</button></span>` },
];

/** Where the value is kept elsewhere, it is not typed. @param {{added: () => void, onClose: () => void}} properties */
function Add({ added, onClose }) {
  const [name, setName] = useState("");
  const [hosts, setHosts] = useState("");
  const [place, setPlace] = useState("");
  const action = useAction();
  const source = place.trim();
  const refer = async (/** @type {string[]} */ to) => {
    await call("PUT", `/secrets/${encodeURIComponent(name.trim())}`, { body: { source, hosts: to } });
    added();
    onClose();
  };
  const next = (/** @type {Event} */ event) => {
    event.preventDefault();
    const to = hosts.split(/[\s,]+/).filter(Boolean);
    action.run(() => (source ? refer(to) : enter(name.trim(), to)));
  };
  return html`<${Dialog} title=${words.add} onClose=${onClose}>
    <form class="fields" onSubmit=${next}>
      <label>${words.form.name}<input class="mono" autofocus required pattern="[A-Za-z_][A-Za-z0-9_]*" autocomplete="off" value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} aria-describedby="name-hint" /><span class="dim" id="name-hint">${words.form.nameHint}</span></label>
      <label>${words.form.hosts}<textarea rows="3" spellcheck=${false} value=${hosts} onInput=${(/** @type {any} */ event) => setHosts(event.target.value)} aria-describedby="hosts-hint"></textarea><span class="dim" id="hosts-hint">${words.form.hostsHint}</span></label>
      <label>${words.form.place}<input class="mono" spellcheck=${false} autocomplete="off" value=${place} onInput=${(/** @type {any} */ event) => setPlace(event.target.value)} aria-describedby="place-hint" /><span class="dim" id="place-hint">${words.form.placeHint}</span></label>
      <${Problem} error=${action.error} />
      <div class="actions"><button class="primary" disabled=${action.working}>${source ? words.form.refer(name.trim()) : words.form.next(name.trim())}</button></div>
    </form><//>`;
}
