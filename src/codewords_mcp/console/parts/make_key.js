// The dialog that makes a key: whose it is, what it may, and for how long. Its text is shown once.
import { post } from "../api.js";
import { visible } from "../format.js";
import { keys as words, scopeWords } from "../strings_members.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Dialog } from "./dialog.js";
import { Problem } from "./resource.js";
import { Copy } from "./text.js";

const DAY = 86400;
/** Lifetimes in seconds; "" is for ever. */
const LIFETIMES = /** @type {const} */ (["", DAY, 30 * DAY, 90 * DAY, 365 * DAY]);

/** @param {{members: any[], own: any, scopes?: string[], onClose: () => void, onMade: () => void}} properties  `scopes`: those that can be given, by default all. */
export function MakeKey({ members, own, scopes = Object.keys(scopeWords), onClose, onMade }) {
  const [member, setMember] = useState("");
  const [owner, setOwner] = useState("local");
  const [isAdmin, setAdmin] = useState(false);
  const [chosen, setChosen] = useState(/** @type {string[] | null} */ (null));
  const [lifetime, setLifetime] = useState("");
  const [made, setMade] = useState("");
  const action = useAction();
  const make = (/** @type {Event} */ event) => {
    event.preventDefault();
    action.run(async () => {
      const limits = { scopes: isAdmin ? null : chosen, expires_in: lifetime ? Number(lifetime) : null };
      const created = await (own ? post("/me/keys", limits) : post("/keys", { ...(member ? { member } : { owner }), kind: isAdmin ? "admin" : "user", ...limits }));
      setMade(created.key);
      onMade();
    });
  };
  if (made) return html`<${Dialog} title=${words.add} onClose=${onClose}><p>${words.once}</p><div class="snippet"><pre tabindex="0">${made}</pre><${Copy} text=${made} /></div><//>`;
  return html`<${Dialog} title=${words.add} onClose=${onClose}>
    <form class="fields" onSubmit=${make}>
      ${members.length > 0 && html`<label>${words.member}<select value=${member} onChange=${(/** @type {any} */ event) => setMember(event.target.value)}>
        <option value="">${words.noMember}</option>${members.map((one) => html`<option value=${one.name}>${one.name}, ${one.role}</option>`)}</select></label>`}
      ${!member && !own && html`<label>${words.owner}<input required value=${owner} onInput=${(/** @type {any} */ event) => setOwner(event.target.value)} /></label>`}
      ${!own && html`<label class="check"><input type="checkbox" checked=${isAdmin} onChange=${() => setAdmin(!isAdmin)} />${words.admin}</label>`}
      ${!isAdmin && html`<${Scopes} all=${own || member ? words.allOfRole : words.allOfOwner} scopes=${scopes} chosen=${chosen} choose=${setChosen} />`}
      <label>${words.lifetime}<select value=${lifetime} onChange=${(/** @type {any} */ event) => setLifetime(event.target.value)}>
        ${LIFETIMES.map((seconds) => html`<option value=${String(seconds)}>${seconds ? words.days(seconds / DAY) : words.forEver}</option>`)}</select></label>
      <${Problem} error=${action.error} />
      <div class="actions"><button class="primary" disabled=${action.working || chosen?.length === 0}>${words.make(visible(own?.name ?? (member || owner)))}</button></div>
    </form><//>`;
}

/** What a key may: all (`chosen` is null), or some of the scopes. @param {{all: string, scopes: string[], chosen: string[] | null, choose: (scopes: string[] | null) => void}} properties */
function Scopes({ all, scopes, chosen, choose }) {
  const toggle = (/** @type {string} */ scope) => choose(chosen?.includes(scope) ? chosen.filter((one) => one !== scope) : [...(chosen ?? []), scope]);
  return html`<fieldset class="roles"><legend>${words.may}</legend>
    <label class="check"><input type="checkbox" name="all" checked=${!chosen} onChange=${() => choose(chosen ? null : ["read"])} />${all}</label>
    ${chosen && Object.keys(scopeWords).filter((scope) => scopes.includes(scope)).map((scope) => html`<label class="check"><input type="checkbox" name="scope" value=${scope} checked=${chosen.includes(scope)} onChange=${() => toggle(scope)} />
      <span><b>${scope}</b> <span class="dim">${scopeWords[scope]}</span></span></label>`)}</fieldset>`;
}
