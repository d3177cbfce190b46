// What a workflow's runs did, took and cost by day.
import { post } from "../api.js";
import { count, duration, money } from "../format.js";
import { usage } from "../strings_pages.js";
import { history as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { DayChart, lastDays } from "./chart.js";
import { changesOf, Problem, useResource } from "./resource.js";
import { Table } from "./table.js";

const DAYS = 30;
const COLUMNS = ["day", "runs", "succeeded", "failed", "p50", "p95", "cost"];

/** @param {string} id */
const query = (id) => `SELECT substr(created_at, 1, 10) AS day, count(*) AS runs, sum(status = 'succeeded') AS succeeded, sum(status IN ('failed', 'timed_out', 'interrupted')) AS failed,
  1000 * percentile(seconds, 50) AS p50, 1000 * percentile(seconds, 95) AS p95, sum(cost_usd) AS cost
  FROM runs WHERE workflow_id = '${id.replaceAll("'", "''")}' AND mode IS NULL AND created_at >= datetime('now', 'start of day', '-${DAYS - 1} days')
  GROUP BY day ORDER BY day DESC`;

/** @typedef {{day: string, runs: number, succeeded: number, failed: number, p50: number | null, p95: number | null, cost: number | null}} Day  Milliseconds, and US dollars. */

/** @param {string} id @param {AbortSignal} signal @returns {Promise<Day[]>} */
async function load(id, signal) {
  const { rows } = await post("/runs/query", { sql: query(id), limit: DAYS }, { signal });
  return rows.map((/** @type {unknown[]} */ row) => Object.fromEntries(COLUMNS.map((name, n) => [name, row[n]])));
}

/** @param {{workflow: any}} properties */
export function History({ workflow }) {
  const id = workflow.service_id;
  const { data, error, reload } = useResource((signal) => load(id, signal), [id], changesOf("run"));
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  if (!data.length) return html`<p class="dim">${usage.none}</p>`;

  const days = lastDays(DAYS);
  const on = (/** @type {(row: Day) => number} */ value) => days.map((day) => data.filter((row) => row.day === day).map(value)[0] ?? 0);
  const [median, slow] = [on((row) => row.p50 ?? 0), on((row) => row.p95 ?? 0)];
  return html`<${Problem} error=${error} />
    <section class="card"><header><h2>${usage.chartRuns}</h2></header><${DayChart} label=${usage.chartRuns} days=${days} format=${count} series=${[
      { label: usage.succeeded, colour: "good", values: on((row) => row.succeeded) }, { label: usage.failed, colour: "bad", values: on((row) => row.failed) },
      { label: usage.others, colour: "platform", values: on((row) => row.runs - row.succeeded - row.failed) }]} /></section>
    <section class="card"><header><h2>${words.times}</h2></header><${DayChart} label=${words.times} days=${days} format=${duration} series=${[
      { label: words.p50, colour: "accent", values: median }, { label: words.p95, colour: "step", values: slow.map((value, day) => value - median[day]), shown: slow }]} /></section>
    ${data.some(({ cost }) => cost) && html`<section class="card"><header><h2>${usage.chartCost}</h2></header><${DayChart} label=${usage.chartCost} days=${days} format=${money} series=${[{ label: usage.cost, colour: "model", values: on((row) => row.cost ?? 0) }]} /></section>`}
    <section class="card"><${Table} label=${words.table} rows=${data} id=${(/** @type {Day} */ row) => row.day} columns=${[
      { name: usage.bys[0][1], cell: (/** @type {Day} */ row) => row.day }, number(usage.columns.runs, (row) => count(row.runs)), number(usage.failed, (row) => count(row.failed)),
      number(words.p50, (row) => time(row.p50)), number(words.p95, (row) => time(row.p95)), number(usage.cost, (row) => money(row.cost ?? 0))]} /></section>`;
}

/** @param {number | null} value */
const time = (value) => (value === null ? "–" : duration(value));

/** @param {string} name @param {(row: Day) => unknown} cell */
const number = (name, cell) => ({ name, class: "number", cell });
