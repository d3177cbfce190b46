// Usage: what runs and models used and cost, and the budgets that bound them.
import { download, get } from "../api.js";
import { bytes, count, money } from "../format.js";
import { address, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { usage as words } from "../strings_pages.js";
import { html } from "../ui.js";
import { Budgets } from "../parts/budgets.js";
import { DayChart, lastDays } from "../parts/chart.js";
import { WorkflowLink } from "../parts/link.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Table } from "../parts/table.js";
import { Text, useTitle } from "../parts/text.js";

/** @param {number} days @param {string} by @param {string} costBy @param {AbortSignal} signal */
async function load(days, by, costBy, signal) {
  const [runDays, costDays, runs, costs, budgets] = await Promise.all([
    get("/usage", { by: "day", days }, { signal }), get("/costs", { by: "day", days }, { signal }),
    get("/usage", { by, days }, { signal }), get("/costs", { by: costBy, days, limit: 1000 }, { signal }),
    get("/budgets", {}, { signal }).catch(() => null),
  ]);
  return { runDays: runDays.items, costDays: costDays.items, runs: runs.items, costs: costs.items, budgets: budgets?.items ?? null };
}

/** @param {any[]} rows @param {string} name */
const sum = (rows, name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);

export default function Usage() {
  useTitle(PAGE_NAMES.usage);
  const { query } = address.value;
  const days = Number(query.get("days") ?? 30) || 30;
  const by = query.get("by") ?? "day";
  const costBy = query.get("cost") ?? "day";
  const { data, error, reload } = useResource((signal) => load(days, by, costBy, signal), [days, by, costBy], changesOf("run"));
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;

  const dates = lastDays(days);
  const on = (/** @type {any[]} */ rows, /** @type {string} */ name) => dates.map((day) => rows.find((row) => dayOf(row) === day)?.[name] ?? 0);
  const [succeeded, failed] = [on(data.runDays, "succeeded"), on(data.runDays, "failed")];
  const homeBudget = data.budgets?.find((/** @type {any} */ budget) => budget.scope === "home" && budget.period === "day");
  return html`
    <header class="head"><h1>${words.headline(sum(data.runDays, "runs"), money(sum(data.costDays, "cost")), days)}</h1></header>
    <div class="filters"><label><span>${words.days}</span><select value=${days} onChange=${(/** @type {any} */ event) => setQuery({ days: event.target.value })}>
      ${words.spans.map(([value, name]) => html`<option value=${value} selected=${value === days}>${name}</option>`)}</select></label></div>
    <${Problem} error=${error} />
    <section class="card">
      <header><h2>${words.runsBy}</h2><span class="actions"><${By} name="by" value=${by} options=${words.bys} /><button onClick=${() => download(`/usage?by=${by}&days=${days}&format=csv`, `usage-by-${by}.csv`)}>${words.csv}</button></span></header>
      ${data.runDays.length > 0 && html`<${DayChart} label=${words.chartRuns} days=${dates} format=${count} series=${[
        { label: words.succeeded, colour: "good", values: succeeded }, { label: words.failed, colour: "bad", values: failed },
        { label: words.others, colour: "platform", values: on(data.runDays, "runs").map((runs, n) => runs - succeeded[n] - failed[n]) }]} />`}
      ${data.runs.length ? html`<${Table} label=${words.runsBy} rows=${data.runs} id=${(/** @type {any} */ row) => String(row.of)} columns=${runColumns(by)} />` : html`<p class="dim">${words.none}</p>`}
    </section>
    <section class="card">
      <header><h2>${words.costs}</h2><${By} name="cost" value=${costBy} options=${words.costBys} /></header>
      ${data.costDays.length > 0 && html`<${DayChart} label=${words.chartCost} days=${dates} format=${money} line=${homeBudget?.usd ?? null} series=${[{ label: words.cost, colour: "model", values: on(data.costDays, "cost") }]} />`}
      ${data.costs.length ? html`<${Table} label=${words.costs} rows=${data.costs} id=${(/** @type {any} */ row) => String(nameOfRow(row))} columns=${costColumns(costBy)} />` : html`<p class="dim">${words.noCosts}</p>`}
      ${sum(data.costDays, "unpriced") > 0 && html`<p class="dim">${words.unpriced(sum(data.costDays, "unpriced"))}</p>`}
    </section>
    <${Budgets} budgets=${data.budgets} onChange=${reload} />`;
}

/** @param {{name: string, value: string, options: any[]}} properties */
const By = ({ name, value, options }) => html`<span class="choice" role="group" aria-label=${words.by}>${options.map(([option, text]) => html`
  <button aria-pressed=${option === value} onClick=${() => setQuery({ [name]: option })}>${text}</button>`)}</span>`;

/** @param {any} row */
const nameOfRow = (row) => row.of ?? row.day ?? row.service_id ?? row.model ?? row.key_id ?? "–";
/** @param {any} row */
const dayOf = (row) => String(nameOfRow(row)).slice(0, 10);

/** @param {string} by */
const ofColumn = (by) => ({ name: words.columns.of, cell: (/** @type {any} */ row) => (by === "workflow" && nameOfRow(row) !== "–" ? html`<${WorkflowLink} id=${nameOfRow(row)} />` : html`<${Text} of=${nameOfRow(row)} />`) });

/** @param {string} name @param {(row: any) => unknown} cell */
const number = (name, cell) => ({ name, class: "number", cell });

/** @param {number} value */
const seconds = (value) => `${value.toFixed(2)} s`;

/** @param {string} by */
const runColumns = (by) => [
  ofColumn(by), number(words.columns.runs, (row) => count(row.runs)), number(words.columns.failed, (row) => count(row.failed)),
  number(words.columns.waiting, (row) => seconds(row.waiting_seconds)), number(words.columns.running, (row) => seconds(row.running_seconds)), number(words.columns.cpu, (row) => seconds(row.cpu_seconds)),
  number(words.columns.received, (row) => bytes(row.egress_in)), number(words.columns.sent, (row) => bytes(row.egress_out)), number(words.columns.cost, (row) => money(row.cost)),
];

/** @param {string} by */
const costColumns = (by) => [
  ofColumn(by), number(words.columns.calls, (row) => count(row.calls)), number(words.columns.input, (row) => count(row.input_tokens)),
  number(words.columns.output, (row) => count(row.output_tokens)), number(words.columns.usd, (row) => money(row.cost)),
];
