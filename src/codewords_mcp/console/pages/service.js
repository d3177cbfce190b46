// A library service: what it works with, who uses it, and its operations as forms.
import { get } from "../api.js";
import { visible } from "../format.js";
import { address, href } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { services as words } from "../strings_explore.js";
import { html } from "../ui.js";
import { useAction } from "../parts/action.js";
import { lazy } from "../parts/lazy.js";
import { WorkflowLink } from "../parts/link.js";
import { usersOf } from "../parts/names.js";
import { enter } from "../parts/needed_secrets.js";
import { operationsOfService } from "../parts/operations.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { StateOf } from "../parts/service_state.js";
import { Text, useTitle } from "../parts/text.js";

const OperationPage = lazy(async () => (await import("../parts/operation_page.js")).OperationPage);

/** @param {{parameters: string[]}} properties */
export default function Service({ parameters: [name] }) {
  const { data, error, reload } = useResource((signal) => get(`/services/${encodeURIComponent(name)}`, {}, { signal }), [name], changesOf("secrets"));
  useTitle(data ? visible(data.title) : PAGE_NAMES.services);
  if (!data) return html`<${Problem} error=${error} retry=${reload} all=${["/console/services", words.all]} />`;

  const operations = operationsOfService(data);
  const chosen = operations.find(({ id }) => id === address.value.query.get("op")) ?? operations[0];
  return html`
    <header class="head"><nav class="crumbs" aria-label=${PAGE_NAMES.services}><a href="/console/services">${PAGE_NAMES.services}</a></nav><h1><${Text} of=${data.title} /></h1>
      <p class="dim"><${Text} of=${data.summary} /></p><p class="needs"><${StateOf} service=${data} /></p></header>
    ${data.unavailable && html`<${Problem} error=${{ message: data.unavailable, hint: data.fix }} />`}
    <div class="columns"><div>
        ${operations.length > 1 && html`<nav class="tabs" aria-label=${words.operations}>${operations.map((one) => html`<a key=${one.id} href=${href(location.pathname, { op: one.id })} aria-current=${one === chosen ? "page" : undefined}><${Text} of=${one.summary} /></a>`)}</nav>`}
        ${operations.length === 1 && html`<h2 class="below"><${Text} of=${chosen.summary} /></h2>`}
        <${OperationPage} key=${chosen.id} operation=${chosen} service=${data} /></div>
      <div><${Credentials} service=${data} /><${Users} name=${name} /></div></div>`;
}

/** @param {{service: any}} properties */
function Credentials({ service }) {
  const action = useAction();
  return html`<section class="card"><header><h2>${words.credentials}</h2></header><${Problem} error=${action.error} />
    ${!service.credentials.length && html`<p class="dim">${words.none_needed}</p>`}
    <ul class="rows">${service.credentials.map((/** @type {any} */ one) => html`<li key=${one.name}><span class="what"><span><span class="mono"><${Text} of=${one.name} /></span> <span class=${one.present ? "good" : "dim"}>${one.present ? words.has : words.lacks}</span></span>
      ${!one.present && html`<span class="dim small"><${Text} of=${one.how} /></span>`}${!one.present && one.without && html`<span class="dim small">${words.without}: <${Text} of=${one.without} /></span>`}</span>
      ${one.present ? html`<span></span>` : html`<button aria-label=${words.enter(visible(one.name))} disabled=${action.working} onClick=${() => action.run(() => enter({ name: one.name, hosts: [] }))}>${words.enterShort}</button>`}</li>`)}</ul></section>`;
}

/** @param {{name: string}} properties */
function Users({ name }) {
  const users = usersOf("services", name);
  return html`<section class="card"><header><h2>${words.used}</h2></header>${users.length ? html`<ul class="rows">${users.map((one) => html`<li key=${one.service_id}><${WorkflowLink} id=${one.service_id} /></li>`)}</ul>` : html`<p class="dim">${words.unused}</p>`}</section>`;
}
