// Accounts of other apps: connecting one, whether each works, and disconnecting it.
import { post, send } from "../api.js";
import { visible } from "../format.js";
import { integrations as words } from "../strings_explore.js";
import { html, useState } from "../ui.js";
import { openPage, useAction } from "./action.js";
import { Confirm } from "./confirm.js";
import { WorkflowLink } from "./link.js";
import { usersOf } from "./names.js";
import { Problem } from "./resource.js";
import { Table } from "./table.js";
import { Text, When } from "./text.js";

/** @typedef {{workflow_id: string, name: string, triggers: string[]}} AppUser */
/** @typedef {{id: string, app: string, name: string, healthy: boolean, created_at: string, backend: string, used_by: AppUser[]}} Account */

/** @param {string} app */
export const pathOfApp = (app) => `/console/integrations/${encodeURIComponent(app)}`;

/** Open the page on which an app is connected; what the runtime says where there is none. @param {string} app */
export async function connect(app) {
  const { connect_link_url: url, message, how } = await post(`/integrations/${encodeURIComponent(app)}/connect`, {});
  if (!url) return { message, hint: how };
  openPage(url);
  return null;
}

/** @param {{app: string, name: string}} properties */
export function Connect({ app, name }) {
  const action = useAction();
  const [said, setSaid] = useState(/** @type {any} */ (null));
  return html`<button class="primary" disabled=${action.working} onClick=${() => action.run(async () => setSaid(await connect(app)))}>${words.connect(visible(name))}</button>
    <${Problem} error=${action.error ?? said} />`;
}

/** @param {{accounts: Account[], onChange: () => void}} properties */
export function Accounts({ accounts, onChange }) {
  const action = useAction();
  const [said, setSaid] = useState(/** @type {any} */ (null));
  const [removing, setRemoving] = useState(/** @type {Account | null} */ (null));
  const again = (/** @type {Account} */ account) => action.run(async () => setSaid(await connect(account.app)));
  return html`<${Problem} error=${action.error ?? said} />
    <${Table} label=${words.accounts} rows=${accounts} id=${(/** @type {Account} */ one) => one.id} columns=${columns(again, setRemoving)} />
    ${removing && html`<${Confirm} title=${words.removeTitle(nameOf(removing))} lead=${words.removeLead(removing.used_by.length)} action=${words.remove(nameOf(removing))} keep=${words.keep}
      act=${async () => { await send("DELETE", `/connections/${encodeURIComponent(removing.id)}`); onChange(); }} onClose=${() => setRemoving(null)} />`}`;
}

/** @param {Account} account */
const nameOf = (account) => visible(account.name || account.id);

/** @param {(account: Account) => void} again @param {(account: Account) => void} remove */
const columns = (again, remove) => [
  { name: words.columns.app, cell: (/** @type {Account} */ one) => html`<a href=${pathOfApp(one.app)}><${Text} of=${one.app} /></a>` },
  { name: words.columns.account, cell: (/** @type {Account} */ one) => html`<${Text} of=${one.name || one.id} />${one.backend === "native" && html` <span class="tag">${words.ownToken}</span>`}` },
  { name: words.columns.state, cell: (/** @type {Account} */ one) => html`<span class=${one.healthy ? "good" : "bad"}>${one.healthy ? words.ok : words.dead}</span>` },
  { name: words.columns.used, cell: (/** @type {Account} */ one) => html`<${AccountUsers} users=${one.used_by} />` },
  { name: words.columns.since, class: "number", cell: (/** @type {Account} */ one) => html`<${When} at=${one.created_at} />` },
  { name: words.columns.actions, class: "number", cell: (/** @type {Account} */ one) => (one.backend === "native" ? html`<a href="/console/secrets">${words.inSecrets}</a>` : html`<span class="actions">
    ${!one.healthy && html`<button class="primary" aria-label=${words.again(visible(one.app))} onClick=${() => again(one)}>${words.againShort}</button>`}<button class="danger" aria-label=${words.remove(nameOf(one))} onClick=${() => remove(one)}>${words.removeShort}</button></span>`) },
];

/** The workflows that use an account, each with what starts it. @param {{users: AppUser[]}} properties */
function AccountUsers({ users }) {
  if (!users.length) return html`<span class="dim">${words.unused}</span>`;
  return users.map((one) => html`<div key=${one.workflow_id}><${WorkflowLink} id=${one.workflow_id} />${one.triggers.length > 0 && html` <span class="dim"><${Text} of=${one.triggers.join(", ")} /></span>`}</div>`);
}

/** @param {{app: string}} properties */
export function Users({ app }) {
  const users = usersOf("apps", app);
  return users.length ? users.map((one, index) => html`${index > 0 && ", "}<${WorkflowLink} id=${one.service_id} />`) : html`<span class="dim">${words.unused}</span>`;
}
