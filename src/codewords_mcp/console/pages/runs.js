// Runs: the live list, its filters, and what is done with many at once.
import { useEffect, useRef, html } from "../ui.js";
import { exact } from "../format.js";
import { address, go } from "../router.js";
import { common, PAGE_NAMES } from "../strings.js";
import { runs as words } from "../strings_lists.js";
import { BulkBar } from "../parts/bulk.js";
import { Filters, filtersOf, isFiltered } from "../parts/filters.js";
import { moveFocus } from "../parts/move_focus.js";
import { Problem } from "../parts/resource.js";
import { isActive, isBad } from "../parts/run_facts.js";
import { RunTable } from "../parts/run_table.js";
import { RunList } from "../parts/run_list.js";
import { useTitle } from "../parts/text.js";

export default function Runs() {
  useTitle(PAGE_NAMES.runs);
  const filters = filtersOf(address.value.query);
  const list = useRef(/** @type {RunList | null} */ (null));
  list.current ??= new RunList();
  const runs = list.current;
  const table = useRef(/** @type {HTMLElement | null} */ (null));

  useEffect(() => runs.open(filters), [JSON.stringify(filters)]);
  useEffect(() => () => runs.close(), []);

  const items = runs.items.value;
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    moveFocus(event, table.current, "a.row-link");
    const row = event.target instanceof Element ? event.target.closest("[data-row]") : null;
    if (event.key === "x" && row instanceof HTMLElement && row.dataset.row) runs.toggle(row.dataset.row);
    if (event.key === "Escape") runs.select([]);
  };

  return html`
    <header class="head"><h1>${headline(items, filters, runs.cursor.value !== null)}</h1></header>
    <${Filters} filters=${filters} />
    <${Problem} error=${runs.error.value} retry=${() => runs.open(filters)} />
    ${runs.arrived.value > 0 && html`<button class="arrived" onClick=${() => runs.open(filters)}>${words.arrived(runs.arrived.value)}</button>`}
    ${items && (items.length
      ? html`<div ref=${table} onKeyDown=${onKey} onMouseEnter=${() => runs.hold(true)} onMouseLeave=${() => runs.hold(false)}><${RunTable} runs=${runs} /></div>`
      : html`<${Empty} filtered=${isFiltered(filters)} />`)}
    ${runs.searched.value && items && html`<p class="dim" role="status">${words.looked(runs.searched.value.runs, runs.searched.value.until ? exact(runs.searched.value.until) : common.none)}</p>`}
    ${runs.cursor.value && html`<p class="more"><button onClick=${() => runs.more()} disabled=${runs.loading.value}>${runs.searched.value ? words.further : common.more}</button></p>`}
    ${runs.selected.value.size > 0 && html`<${BulkBar} runs=${runs} />`}`;
}

/** @param {any[] | null} items @param {Record<string, string>} filters @param {boolean} more */
function headline(items, filters, more) {
  if (!items) return PAGE_NAMES.runs;
  if (isFiltered(filters)) return words.filtered(items.length, more);
  return words.headline(items.filter(isActive).length, items.filter((run) => isBad(run.status)).length, items.length);
}

/** @param {{filtered: boolean}} properties */
const Empty = ({ filtered }) => html`<div class="card empty">
  <p>${filtered ? words.noMatch : words.empty}</p>
  ${filtered ? html`<button onClick=${() => go("/console/runs")}>${words.clear}</button>` : html`<a class="button primary" href="/console/workflows">${words.emptyAction}</a>`}
</div>`;
