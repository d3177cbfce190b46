// The filters of the list of runs: they are the query of its address.
import { visible } from "../format.js";
import { href, setQuery } from "../router.js";
import { common, MODE, STATUS } from "../strings.js";
import { runs as words } from "../strings_lists.js";
import { html, useState } from "../ui.js";
import { workflows } from "./names.js";
import { firstArguments, triggerOf } from "./run_facts.js";

const NAMES = ["service_id", "version", "status", "mode", "trigger", "since", "q"];
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
export const queryOf = (filters) => ({ ...filters, since: filters.since && sinceOf(filters.since) });

/** Whether a run matches, also by what the API doesn't filter. @param {import("./run_facts.js").RunRecord} run @param {Filters} filters */
export function matches(run, filters) {
  if (filters.service_id && run.serviceId !== filters.service_id) return false;
  if (filters.status && run.status !== filters.status) return false;
  if (filters.version && String(run.version) !== filters.version) return false;
  if (filters.trigger && triggerOf(run) !== filters.trigger) return false;
  if (filters.since && run.createdAt < sinceOf(filters.since)) return false;
  return !filters.q || firstArguments(run).toLowerCase().includes(filters.q.toLowerCase())
    || (run.requestContent ?? "").toLowerCase().includes(filters.q.toLowerCase());
}

/** @param {{filters: Filters}} properties */
export function Filters({ filters }) {
  const named = [...(workflows.value?.values() ?? [])].map((workflow) => [workflow.service_id, visible(workflow.name)]);
  const [open, setOpen] = useState(false);
  const chosen = Object.values(filters).filter(Boolean).length;
  return html`<button class="fold" aria-expanded=${open} onClick=${() => setOpen(!open)}>${words.fold(chosen)}</button>
  <form class=${open ? "filters open" : "filters"} role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <${Choice} name="service_id" label=${words.filters.workflow} any=${common.all} options=${named} filters=${filters} />
    <${Choice} name="status" label=${words.filters.status} any=${common.all} options=${Object.entries(STATUS)} filters=${filters} />
    <${Choice} name="trigger" label=${words.filters.trigger} any=${common.all} options=${words.triggers} filters=${filters} />
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
