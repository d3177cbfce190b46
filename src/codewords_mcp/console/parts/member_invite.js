// Adding a member: a person, who gets a link that is shown once, or a service account.
import { post } from "../api.js";
import { exact, visible } from "../format.js";
import { members as words } from "../strings_members.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Dialog } from "./dialog.js";
import { Roles, rolesUpTo } from "./member_roles.js";
import { Problem } from "./resource.js";
import { Copy } from "./text.js";

/** @param {{me: any, onClose: () => void, onDone: () => void}} properties */
export function Invite({ me, onClose, onDone }) {
  const [name, setName] = useState("");
  const [isService, setIsService] = useState(false);
  const [role, setRole] = useState("viewer");
  const [made, setMade] = useState(/** @type {any} */ (null));
  const action = useAction();
  const kind = isService ? "service" : "person";
  const choose = () => {
    setIsService(!isService);
    if (role === "owner") setRole("viewer");
  };
  const add = (/** @type {Event} */ event) => {
    event.preventDefault();
    action.run(async () => {
      setMade(await post("/members", { name: name.trim(), role, kind }));
      onDone();
    });
  };
  if (made) return html`<${Link} made=${made} onClose=${onClose} />`;
  return html`<${Dialog} title=${words.inviteTitle} onClose=${onClose}>
    <form class="fields" onSubmit=${add}>
      <label>${words.name}<input required autofocus maxlength="64" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="name-hint" value=${name} onInput=${(/** @type {any} */ event) => setName(event.target.value)} /></label>
      <p class="dim" id="name-hint">${words.nameHint}</p>
      <label class="check"><input type="checkbox" checked=${isService} onChange=${choose} />${words.isService}</label>
      <${Roles} roles=${rolesUpTo(me, kind)} value=${role} onChange=${setRole} />
      <${Problem} error=${action.error} />
      <div class="actions"><button class="primary" disabled=${action.working}>${words.add(visible(name.trim()), role)}</button></div>
    </form><//>`;
}

/** Another link for a member. @param {{member: any, onClose: () => void, onDone: () => void}} properties */
export function NewLink({ member, onClose, onDone }) {
  const [made, setMade] = useState(/** @type {any} */ (null));
  const action = useAction();
  const make = () => action.run(async () => {
    setMade(await post(`/members/${member.id}/invitation`, {}));
    onDone();
  });
  if (made) return html`<${Link} made=${made} onClose=${onClose} />`;
  const name = visible(member.name);
  return html`<${Dialog} title=${words.newLink(name)} onClose=${onClose}><p>${words.newLinkLead}</p><${Problem} error=${action.error} />
    <div class="actions"><button class="primary" disabled=${action.working} onClick=${make}>${words.newLink(name)}</button></div><//>`;
}

/** The link of a person, shown once. @param {{made: any, onClose: () => void}} properties */
function Link({ made, onClose }) {
  const name = visible(made.member.name);
  if (!made.url) return html`<${Dialog} title=${words.inviteTitle} onClose=${onClose}><p role="status">${words.added(name)}</p><//>`;
  return html`<${Dialog} title=${words.linkTitle(name)} onClose=${onClose}>
    <p role="status">${words.link(name, exact(made.expires_at))}</p>
    <div class="snippet"><pre tabindex="0">${made.url}</pre><${Copy} text=${made.url} /></div><//>`;
}
