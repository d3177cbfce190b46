// The card of what runs and models used and cost.
import { count, money } from "../format.js";
import { usage as words } from "./strings.js";
import { html } from "../ui.js";
import { Problem, useResource } from "../parts/resource.js";
import { Table } from "../parts/table.js";
import { Text } from "../parts/text.js";
import { get } from "./api.js";
import { show } from "./card.js";
import { WorkflowLink } from "./nouns.js";

const DAY_MS = 86_400_000;
const MOST = 8;

/** @param {number} days */
async function load(days) {
  const [byDay, costs, byWorkflow] = await Promise.all([get("/usage", { by: "day", days }), get("/costs", { by: "day", days }), get("/usage", { by: "workflow", days })]);
  return { byDay: byDay.items, costs: costs.items, byWorkflow: byWorkflow.items };
}

/** @param {any} row */
const dayOf = (row) => String(row.of ?? row.day ?? "").slice(0, 10);
/** @param {any[]} rows @param {string} name */
const sum = (rows, name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);

/** @param {{data: any}} properties */
function Usage({ data: { days = 30 } }) {
  const { data, error, reload } = useResource(() => load(days), [days]);
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  const rows = [...data.byWorkflow].sort((a, b) => b.runs - a.runs).slice(0, MOST);
  return html`<header class="head"><h1 class="headline">${words.headline(sum(data.byDay, "runs"), money(sum(data.costs, "cost")), days)}</h1></header>
    <section class="card"><header><h2>${words.days}</h2><span class="dim">${words.failed(sum(data.byDay, "failed"))}</span></header><${Days} rows=${data.byDay} days=${days} /></section>
    <section class="card"><header><h2>${words.workflows}</h2></header>${rows.length ? html`<${Table} label=${words.workflows} rows=${rows} id=${(/** @type {any} */ row) => String(row.of)} columns=${COLUMNS} />` : html`<p class="dim">${words.none}</p>`}</section>`;
}

/** Bars from zero, one a day. @param {{rows: any[], days: number}} properties */
function Days({ rows, days }) {
  const dates = Array.from({ length: days }, (_, n) => new Date(Date.now() - (days - 1 - n) * DAY_MS).toISOString().slice(0, 10));
  const most = Math.max(1, ...rows.map((row) => row.runs));
  return html`<ol class="day-bars">${dates.map((day) => {
    const { runs = 0, failed = 0 } = rows.find((row) => dayOf(row) === day) ?? {};
    const text = words.day(day, runs, failed);
    return html`<li title=${text}><span class="hidden">${text}</span><i class="succeeded-part" style=${{ height: `${(100 * (runs - failed)) / most}%` }}></i><i class="failed-part" style=${{ height: `${(100 * failed) / most}%` }}></i></li>`;
  })}</ol>`;
}

/** @param {string} name @param {(row: any) => unknown} cell */
const number = (name, cell) => ({ name, class: "number", cell });
const COLUMNS = [
  { name: words.columns.of, cell: (/** @type {any} */ row) => (row.of ? html`<${WorkflowLink} id=${row.of} />` : html`<${Text} of="–" />`) },
  number(words.columns.runs, (row) => count(row.runs)), number(words.columns.failed, (row) => count(row.failed)), number(words.columns.cost, (row) => money(row.cost)),
];

show("usage", Usage);
