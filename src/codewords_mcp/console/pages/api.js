// The API explorer: every route of the runtime and of its services, each as a form.
import { address, href, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { api as words, services } from "../strings_explore.js";
import { html } from "../ui.js";
import { lazy } from "../parts/lazy.js";
import { Search } from "../parts/narrow.js";
import { hasWords, loadOperations, pathOf } from "../parts/operations.js";
import { Problem, useResource } from "../parts/resource.js";
import { Text, useTitle } from "../parts/text.js";

const OperationPage = lazy(async () => (await import("../parts/operation_page.js")).OperationPage);

export default function Api() {
  const { query } = address.value;
  const id = query.get("op");
  useTitle(id ?? PAGE_NAMES.api);
  const { data, error, reload } = useResource(loadOperations, []);
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  if (!id) return html`<${List} operations=${data} wanted=${query.get("q") ?? ""} part=${query.get("part") ?? ""} />`;

  const operation = data.find((one) => one.id === id);
  return html`<header class="head"><nav class="crumbs" aria-label=${PAGE_NAMES.api}><a href="/console/api">${words.back}</a></nav><h1>${operation ? operation.summary : words.gone}</h1></header>
    ${operation && html`<${OperationPage} operation=${operation} />`}`;
}

/** @param {{operations: import("../parts/operations.js").Operation[], wanted: string, part: string}} properties */
function List({ operations, wanted, part }) {
  const parts = [...new Set(operations.map((one) => one.tag))];
  const found = operations.filter((one) => (!part || one.tag === part) && hasWords(one, wanted));
  const shown = parts.map((tag) => ({ tag, of: found.filter((one) => one.tag === tag) })).filter(({ of }) => of.length);
  return html`
    <header class="head"><h1>${words.headline(found.length)}</h1><p class="dim">${words.lead}</p></header>
    <div class="narrowing"><${Search} label=${words.search} value=${wanted} onChange=${(/** @type {string} */ q) => setQuery({ q: q || null })} />
      <select aria-label=${words.part} onChange=${(/** @type {any} */ event) => setQuery({ part: event.target.value || null })}><option value="">${words.all}</option>${parts.map((one) => html`<option value=${one} selected=${one === part}>${one}</option>`)}</select></div>
    ${shown.map(({ tag, of }) => html`<section class="card" key=${tag}><header><h2>${tag.charAt(0).toUpperCase() + tag.slice(1)}</h2></header><ul class="rows">${of.map((one) => html`<li key=${one.id}>
      <span class="what"><a href=${pathOf(one)}><${Text} of=${one.summary} /></a><span class="mono dim clip">${one.id}</span></span>${one.writes ? html`<span class="tag">${services.writes}</span>` : html`<span></span>`}</li>`)}</ul></section>`)}
    ${!shown.length && html`<div class="card empty"><p>${words.none}</p><a class="button" href=${href("/console/api")}>${words.clear}</a></div>`}`;
}
