// What a workflow may reach, and the secrets that it needs.
import { visible } from "../format.js";
import { reach as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { useAction } from "./action.js";
import { SecretLink } from "./link.js";
import { enter, useNeeded } from "./needed_secrets.js";
import { Problem } from "./resource.js";
import { Text } from "./text.js";

/** @param {{workflow: any}} properties */
export const Reach = ({ workflow }) => html`
  <section class="card"><header><h2>${words.title}</h2></header><p class="dim">${words.lead}</p>
    ${workflow.capabilities.length ? html`<${Permissions} lines=${workflow.capabilities} />` : html`<p>${words.nothing}</p>`}</section>
  <${Needs} workflow=${workflow} />
  ${workflow.tried.length > 0 && html`<section class="card"><header><h2>${words.tried}</h2></header><ul class="facts-list">${workflow.tried.map((/** @type {any} */ one) => html`<li><${Text} of=${one.message} /></li>`)}</ul></section>`}`;

/** Lines of permissions: the kind in the first column. @param {{lines: string[]}} properties */
export const Permissions = ({ lines }) => html`<dl class="permissions">${lines.map((line) => {
  const [, kind, what] = /^(\S+)\s{2,}(.*)$/.exec(line) ?? ["", "", line];
  return html`<div><dt><${Text} of=${kind} /></dt><dd><${Text} of=${what} /></dd></div>`;
})}</dl>`;

/** @param {{workflow: any}} properties */
function Needs({ workflow }) {
  const { data, error, reload } = useNeeded(workflow);
  const action = useAction();
  return html`<section class="card"><header><h2>${words.secrets}</h2></header><${Problem} error=${error} retry=${reload} /><${Problem} error=${action.error} />
    ${data?.length === 0 && html`<p class="dim">${words.noSecrets}</p>`}
    <ul class="rows">${data?.map((one) => html`<li key=${one.name}><span class="what"><${SecretLink} name=${one.name} /><span class=${one.required && !one.isSet ? "bad" : "dim"}>${stateOf(one)}</span></span>
      <button disabled=${action.working} aria-label=${(one.isSet ? words.renewOf : words.enter)(visible(one.name))} onClick=${() => action.run(() => enter(one))}>${one.isSet ? words.renew : words.enterShort}</button></li>`)}</ul></section>`;
}

/** @param {import("./needed_secrets.js").Needed} needed */
function stateOf({ isSet, required, byDefault }) {
  if (isSet) return words.set;
  if (required) return words.unset;
  return byDefault ? words.byDefault(visible(byDefault)) : words.optional;
}
