// The filters of the list of runs: they are the query of its address.
import { visible } from "../format.js";
import { href, setQuery } from "../router.js";
import { common, MODE, STATUS } from "../strings.js";
import { runs as words } from "../strings_lists.js";
import { html, useState } from "../ui.js";
import { workflows } from "./names.js";
import { allOf } from "./pages.js";
import { useResource } from "./resource.js";

const NAMES = ["service_id", "version", "status", "mode", "trigger", "key_id", "since", "q"];
const UNITS = /** @type {Record<string, number>} */ ({ h: 3_600_000, d: 86_400_000 });

/** @typedef {Record<string, string>} Filters */

/** @param {URLSearchParams} query @returns {Filters} */
export const filtersOf = (query) => Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""]));

/** @param {Filters} filters */
export const isFiltered = (filters) => Object.values(filters).some(Boolean);

/** "24h" as the time a day ago, in whole minutes: the same filter asks the same. @param {string} span */
function sinceOf(span) {
  const unit = UNITS[span.slice(-1)];
  const number = Number(span.slice(0, -1));
  if (!unit || !number) return "";
  return new Date(Math.floor((Date.now() - unit * number) / 60_000) * 60_000).toISOString();
}

/** The query of `GET /runs`. @param {Filters} filters */
export const queryOf = (filters) => ({ ...filters, view: "rows", since: filters.since && sinceOf(filters.since) });

/** @param {any} key @returns {string[]} */
const nameOfKey = (key) => [key.id, `${key.owner} · ${key.prefix}…`];

/** @param {{filters: Filters}} properties */
export function Filters({ filters }) {
  const named = [...(workflows.value?.values() ?? [])].map((workflow) => [workflow.service_id, visible(workflow.name)]);
  const [open, setOpen] = useState(false);
  // Keys are an admin's: others see their own runs only.
  const keys = useResource(async (signal) => (await allOf("/keys", {}, { signal, quiet: true }).catch(() => [])).map(nameOfKey), []);
  const chosen = Object.values(filters).filter(Boolean).length;
  return html`<button class="fold" aria-expanded=${open} onClick=${() => setOpen(!open)}>${words.fold(chosen)}</button>
  <form class=${open ? "filters open" : "filters"} role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <${Choice} name="service_id" label=${words.filters.workflow} any=${common.all} options=${named} filters=${filters} />
    <${Choice} name="status" label=${words.filters.status} any=${common.all} options=${Object.entries(STATUS)} filters=${filters} />
    <${Choice} name="trigger" label=${words.filters.trigger} any=${common.all} options=${words.triggers} filters=${filters} />
    ${keys.data && keys.data.length > 1 && html`<${Choice} name="key_id" label=${words.filters.key} any=${common.all} options=${keys.data} filters=${filters} />`}
    <${Choice} name="since" label=${words.filters.since} any=${words.anyTime} options=${words.times} filters=${filters} />
    <${Choice} name="mode" label=${words.filters.mode} any=${words.ordinary} options=${Object.entries(MODE)} filters=${filters} />
    <label><span>${words.filters.q}</span><input type="search" value=${filters.q} onChange=${(/** @type {any} */ event) => setQuery({ q: event.target.value.trim() || null })} /></label>
    ${isFiltered(filters) && html`<a class="button clear" href=${href("/console/runs")}>${words.clear}</a>`}
  </form>`;
}

/** @param {{name: string, label: string, any: string, options: string[][], filters: Filters}} properties */
const Choice = ({ name, label, any, options, filters }) => html`<label><span>${label}</span>
  <select name=${name} value=${filters[name]} onChange=${(/** @type {any} */ event) => setQuery({ [name]: event.target.value || null }, { push: true })}>
    <option value="">${any}</option>
    ${options.map(([value, text]) => html`<option value=${value} selected=${filters[name] === value}>${text}</option>`)}
    ${filters[name] && !options.some(([value]) => value === filters[name]) && html`<option value=${filters[name]} selected>${visible(filters[name])}</option>`}
  </select></label>`;
