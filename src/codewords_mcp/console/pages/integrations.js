// Integrations: connected accounts, and the apps and actions that there are.
import { get } from "../api.js";
import { visible } from "../format.js";
import { address, href, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { integrations as words } from "../strings_explore.js";
import { html } from "../ui.js";
import { useAction } from "../parts/action.js";
import { Accounts, pathOfApp } from "../parts/connections.js";
import { Search } from "../parts/narrow.js";
import { enter } from "../parts/needed_secrets.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Text, useTitle } from "../parts/text.js";

const SHOWN = 48;
const FOUND = 30;
const CREDENTIALS = ["PIPEDREAM_CLIENT_ID", "PIPEDREAM_CLIENT_SECRET", "PIPEDREAM_PROJECT_ID"];

/** Actions and apps for words; the most used apps without. @param {string} query @param {AbortSignal} signal */
const find = (query, signal) => get("/integrations", query ? { query, limit: FOUND } : { limit: SHOWN }, { signal });

/** @param {AbortSignal} signal */
const loadState = async (signal) => (await get("/services/pipedream", {}, { signal })).credentials.every((/** @type {any} */ one) => one.present);

export default function Integrations() {
  useTitle(PAGE_NAMES.integrations);
  const query = address.value.query.get("q") ?? "";
  const accounts = useResource(async (signal) => (await get("/connections", {}, { signal })).items, [], changesOf("secrets", "inbox"));
  const setUp = useResource(loadState, [], changesOf("secrets"));
  const found = useResource((signal) => find(query, signal), [query], changesOf("secrets"));
  const connected = new Set((accounts.data ?? []).filter((/** @type {any} */ one) => one.healthy).map((/** @type {any} */ one) => one.app));
  return html`
    <header class="head"><h1>${accounts.data ? words.headline(accounts.data.length) : PAGE_NAMES.integrations}</h1><p class="dim">${words.lead}</p></header>
    <${Problem} error=${accounts.error} retry=${accounts.reload} />
    ${setUp.data === false && html`<${SetUp} note=${found.data?.note ?? ""} />`}
    ${accounts.data?.length > 0 && html`<section class="card"><header><h2>${words.accounts}</h2></header><${Accounts} accounts=${accounts.data} onChange=${accounts.reload} /></section>`}
    ${accounts.data?.length === 0 && setUp.data && html`<p class="dim">${words.noAccounts}</p>`}
    <${Search} label=${words.search} value=${query} onChange=${(/** @type {string} */ q) => setQuery({ q: q || null })} />
    <${Problem} error=${found.error} retry=${found.reload} />
    ${found.data && html`<${Found} found=${found.data} query=${query} connected=${connected} note=${setUp.data === false ? "" : found.data.note} />`}`;
}

/** What works without a project, and what to do about it. @param {{note: string}} properties */
function SetUp({ note }) {
  const action = useAction();
  return html`<section class="card attention"><header><h2>${words.setUp}</h2></header><p><${Text} of=${note} /></p><p class="dim">${words.setUpLead}</p><${Problem} error=${action.error} />
    <div class="actions">${CREDENTIALS.map((name) => html`<button disabled=${action.working} onClick=${() => action.run(() => enter({ name, hosts: [] }))}><span class="mono">${name}</span></button>`)}</div></section>`;
}

/** @param {{found: any, query: string, connected: Set<string>, note: string}} properties */
function Found({ found, query, connected, note }) {
  return html`${note && html`<p class="dim" role="status"><${Text} of=${note} /></p>`}
    ${found.actions.length > 0 && html`<section class="card"><header><h2>${words.actions}</h2></header><ul class="rows">${found.actions.map((/** @type {any} */ one) => html`<li key=${one.key}><span class="what"><a href=${href(pathOfApp(one.app), { action: one.key })}><${Text} of=${one.name} /></a><span class="dim clip"><${Text} of=${one.app} /></span></span>
      <span class="tag">${one.writes ? words.writes : words.reads}</span></li>`)}</ul></section>`}
    ${found.apps.length > 0 && html`<h2 class="below">${query ? words.apps : words.popular}</h2><ul class="gallery">${found.apps.map((/** @type {any} */ one) => html`<li key=${one.slug} class="card"><h3><a href=${pathOfApp(one.slug)}><${Text} of=${one.name} /></a></h3>
      ${one.description && html`<p class="dim brief"><${Text} of=${one.description} /></p>`}<p class="needs"><span class="tag mono">${visible(one.slug)}</span>${connected.has(one.slug) && html`<span class="tag good">${words.connected}</span>`}</p></li>`)}</ul>`}
    ${query && !found.actions.length && !found.apps.length && html`<div class="card empty"><p>${words.none}</p><button onClick=${() => setQuery({ q: null })}>${words.clear}</button></div>`}`;
}
