// The library services: what each does, what it needs, and who uses it.
import { get } from "../api.js";
import { visible } from "../format.js";
import { address, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { services as words } from "../strings_explore.js";
import { html } from "../ui.js";
import { Search } from "../parts/narrow.js";
import { usersOf } from "../parts/names.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { StateOf } from "../parts/service_state.js";
import { Text, useTitle } from "../parts/text.js";

/** @param {AbortSignal} signal */
const load = async (signal) => (await get("/services", {}, { signal })).items;

/** @param {any} service @param {string} query */
function hasWords(service, query) {
  const text = [service.title, service.name, service.summary, ...service.operations.map((/** @type {any} */ one) => one.summary)].join("\n").toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

export default function Services() {
  useTitle(PAGE_NAMES.services);
  const { data, error, reload } = useResource(load, [], changesOf("secrets"));
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;

  const query = address.value.query.get("q") ?? "";
  const found = data.filter((/** @type {any} */ one) => hasWords(one, query));
  return html`
    <header class="head"><div class="split"><h1>${words.headline(found.length)}</h1><div class="actions"><a class="button" href="/console/api">${words.toApi}</a></div></div><p class="dim">${words.lead}</p></header>
    <${Problem} error=${error} retry=${reload} />
    <${Search} label=${words.search} value=${query} onChange=${(/** @type {string} */ q) => setQuery({ q: q || null })} />
    ${found.length ? html`<ul class="gallery">${found.map((/** @type {any} */ one) => html`<li key=${one.name} class="card"><${Card} service=${one} /></li>`)}</ul>`
      : html`<div class="card empty"><p>${words.none}</p><button onClick=${() => setQuery({ q: null })}>${words.clear}</button></div>`}`;
}

/** @param {{service: any}} properties */
function Card({ service }) {
  const users = usersOf("services", service.name).length;
  return html`<h2><${Text} of=${service.title} /></h2><p class="dim"><${Text} of=${service.summary} /></p>
    <p class="needs"><${StateOf} service=${service} /><span class="tag">${words.count(service.operations.length)}</span>${users > 0 && html`<span class="tag">${words.usedBy(users)}</span>`}</p>
    <div class="actions"><a class="button" aria-label=${words.open(visible(service.title))} href=${`/console/services/${encodeURIComponent(service.name)}`}>${words.open("").trim()}</a></div>`;
}
