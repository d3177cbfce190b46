// An app: its accounts, what can be done in it, and each action as a form.
import { get } from "../api.js";
import { visible } from "../format.js";
import { address, href, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { integrations as words } from "../strings_explore.js";
import { html } from "../ui.js";
import { Accounts, Connect, pathOfApp, Users } from "../parts/connections.js";
import { lazy } from "../parts/lazy.js";
import { Search } from "../parts/narrow.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Text, useTitle } from "../parts/text.js";

const MOST = 200;
const ActionForm = lazy(async () => (await import("../parts/action_form.js")).ActionForm);

/** @param {string} app @param {string} query @param {AbortSignal} signal */
const load = (app, query, signal) => get(`/integrations/${encodeURIComponent(app)}`, { query, limit: MOST }, { signal });

/** @param {{parameters: string[]}} properties */
export default function Integration({ parameters: [app] }) {
  const { query } = address.value;
  const wanted = query.get("q") ?? "";
  const { data, error, reload } = useResource((signal) => load(app, wanted, signal), [app, wanted], changesOf("secrets"));
  const accounts = useResource(async (signal) => (await get("/connections", {}, { signal })).items, [], changesOf("secrets", "inbox"));
  useTitle(visible(data?.about?.name ?? app));
  if (!data) return html`<${Problem} error=${error} retry=${reload} all=${["/console/integrations", words.all]} />`;

  const name = data.about?.name ?? app;
  const names = new Set([app, data.app, ...data.actions.map((/** @type {any} */ one) => one.app)]);
  const own = (accounts.data ?? []).filter((/** @type {any} */ one) => names.has(one.app));
  const action = query.get("action");
  return html`
    <header class="head"><nav class="crumbs" aria-label=${PAGE_NAMES.integrations}><a href="/console/integrations">${PAGE_NAMES.integrations}</a>${action && html`<span>/</span><a href=${pathOfApp(app)}>${words.allActions(visible(name))}</a>`}</nav>
      <div class="split"><h1><${Text} of=${name} /></h1>${accounts.data && !own.some((/** @type {any} */ one) => one.healthy) && html`<div class="actions"><${Connect} app=${app} name=${name} /></div>`}</div>
      ${data.about?.description && html`<p class="dim"><${Text} of=${data.about.description} /></p>`}</header>
    <${Problem} error=${error ?? accounts.error} />
    ${data.note && html`<p class="dim" role="status"><${Text} of=${data.note} /></p>`}
    ${own.length > 0 && html`<section class="card"><header><h2>${words.accounts}</h2></header><${Accounts} accounts=${own} onChange=${accounts.reload} /></section>`}
    ${action ? html`<${ActionForm} key=${action} app=${data.actions.find((/** @type {any} */ one) => one.key === action)?.app ?? app} action=${action} accounts=${own} />` : html`<${Actions} app=${app} data=${data} query=${wanted} />`}
    <p class="dim below">${words.declare(`PIPEDREAM_${app.toUpperCase()}_ACCESS`)} ${words.columns.used}: <${Users} app=${app} /></p>`;
}

/** @param {{app: string, data: any, query: string}} properties */
function Actions({ app, data, query }) {
  return html`<section class="card"><header><h2>${words.total(data.total)}</h2></header>
    ${(data.total > 5 || query) && html`<${Search} label=${words.searchActions} value=${query} onChange=${(/** @type {string} */ q) => setQuery({ q: q || null })} />`}
    ${data.actions.length ? html`<ul class="rows">${data.actions.map((/** @type {any} */ one) => html`<li key=${one.key}><span class="what"><a href=${href(pathOfApp(app), { action: one.key })}><${Text} of=${one.name} /></a><span class="mono dim clip"><${Text} of=${one.key} /></span></span><span class="tag">${one.writes ? words.writes : words.reads}</span></li>`)}</ul>`
      : html`<p class="dim">${words.noActions}</p>`}</section>`;
}
