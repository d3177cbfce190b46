// The passkeys of the member, and for an admin those of all: added, named, revoked.
import { get, post, send } from "../api.js";
import { visible } from "../format.js";
import { passkeys as words } from "../strings_members.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Confirm } from "./confirm.js";
import { Dialog } from "./dialog.js";
import { Problem, useResource } from "./resource.js";
import { Text, When } from "./text.js";

/** @typedef {{act: "add" | "rename" | "revoke", of?: any}} Asked */

/** @param {{me: any}} properties  `me`: the member who looks; none where the home's own key does. */
export function Passkeys({ me }) {
  const { data, error, reload } = useResource(async (signal) => (await get("/passkeys", {}, { signal })).items, []);
  const [asked, setAsked] = useState(/** @type {Asked | null} */ (null));
  const shared = { of: asked?.of, onClose: () => setAsked(null), onDone: reload };
  if (!me && !data?.length) return null;
  return html`<section class="card"><header><h2>${words.title}</h2>${me && html`<button onClick=${() => setAsked({ act: "add" })}>${words.add}</button>`}</header>
    <${Problem} error=${error} retry=${reload} />
    <p class="dim">${words.lead}</p>
    <ul class="rows">${data?.map((/** @type {any} */ one) => html`<${Passkey} key=${one.id} of=${one} me=${me} ask=${setAsked} />`)}</ul>
    ${asked?.act === "add" && html`<${Add} ...${shared} />`}
    ${asked?.act === "rename" && html`<${Rename} ...${shared} />`}
    ${asked?.act === "revoke" && html`<${Confirm} title=${words.revokeTitle(visible(asked.of.name))} lead=${words.revokeLead} action=${words.revoke(visible(asked.of.name))} keep=${words.keep}
      act=${async () => { await send("DELETE", `/passkeys/${asked.of.id}`); reload(); }} onClose=${shared.onClose} />`}</section>`;
}

/** @param {{of: any, me: any, ask: (asked: Asked) => void}} properties */
const Passkey = ({ of: one, me, ask }) => html`<li>
  <span class="what"><span><${Text} of=${one.name} />${one.member !== me?.name && html` <span class="dim">${words.of} <${Text} of=${one.member} /></span>`}</span>
    <span class="dim">${words.at(visible(one.site))}, ${words.added} <${When} at=${one.created_at} />, ${one.used_at ? html`${words.used} <${When} at=${one.used_at} />` : words.unused}</span></span>
  <span class="actions"><button aria-label=${words.rename(visible(one.name))} onClick=${() => ask({ act: "rename", of: one })}>${words.renameShort}</button>
    <button class="danger" aria-label=${words.revoke(visible(one.name))} onClick=${() => ask({ act: "revoke", of: one })}>${words.revokeShort}</button></span></li>`;

/** Have the browser make a passkey, and keep it. @param {string} name */
async function register(name) {
  const options = await post("/passkeys/options", {});
  if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON) throw new Error(words.old);
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const made = await navigator.credentials.create({ publicKey }).catch((error) => {
    throw new Error(error.name === "InvalidStateError" ? words.known : words.failed);
  });
  await post("/passkeys", { name, credential: /** @type {PublicKeyCredential} */ (made).toJSON() });
}

/** @param {{onClose: () => void, onDone: () => void}} properties */
const Add = ({ onClose, onDone }) => html`<${Named} title=${words.addTitle} lead=${words.addLead} name="" action=${words.make} act=${register} onClose=${onClose} onDone=${onDone} />`;

/** @param {{of: any, onClose: () => void, onDone: () => void}} properties */
const Rename = ({ of: one, onClose, onDone }) => html`<${Named} title=${words.rename(visible(one.name))} name=${one.name} action=${words.renameShort}
  act=${(/** @type {string} */ name) => send("PUT", `/passkeys/${one.id}`, { body: { name } })} onClose=${onClose} onDone=${onDone} />`;

/** A dialog that asks for a name. @param {{title: string, lead?: string, name: string, action: string, act: (name: string) => Promise<unknown>, onClose: () => void, onDone: () => void}} properties */
function Named({ title, lead, name: before, action: label, act, onClose, onDone }) {
  const [name, setName] = useState(before);
  const action = useAction();
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!(await action.run(() => act(name.trim())))) return;
    onDone();
    onClose();
  };
  return html`<${Dialog} title=${title} onClose=${onClose}><form class="fields" onSubmit=${submit}>
    ${lead && html`<p>${lead}</p>`}
    <label>${words.name}<input required autofocus maxlength="64" placeholder=${words.example} value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} /></label>
    <${Problem} error=${action.error} />
    <div class="actions"><button class="primary" disabled=${action.working}>${label}</button></div></form><//>`;
}
