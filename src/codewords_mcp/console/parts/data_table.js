// Objects of a JSON answer as a table that sorts.
import { answer as words } from "../strings.js";
import { html, useState } from "../ui.js";
import { Leaf } from "./json.js";
import { Text } from "./text.js";

const PIECE = 100;
const MOST_COLUMNS = 30;

/** @param {{rows: Record<string, any>[]}} properties */
export function DataTable({ rows }) {
  const [sort, setSort] = useState({ by: "", down: false });
  const [shown, setShown] = useState(PIECE);
  const columns = [...new Set(rows.slice(0, 1000).flatMap((row) => Object.keys(row)))].slice(0, MOST_COLUMNS);
  const sorted = sort.by ? [...rows].sort((a, b) => compare(a[sort.by], b[sort.by]) * (sort.down ? -1 : 1)) : rows;
  const isNumber = (/** @type {string} */ column) => rows.every((row) => row[column] === null || row[column] === undefined || typeof row[column] === "number");

  return html`<div class="scroll" tabindex="0" role="region" aria-label=${words.table}><table class="table">
    <thead><tr>${columns.map((column) => html`<th class=${isNumber(column) ? "number" : ""} aria-sort=${sort.by === column ? (sort.down ? "descending" : "ascending") : undefined}>
      <button title=${words.sort(column)} onClick=${() => setSort({ by: column, down: sort.by === column && !sort.down })}><${Text} of=${column} /></button></th>`)}</tr></thead>
    <tbody>${sorted.slice(0, shown).map((row) => html`<tr>${columns.map((column) => html`<td class=${typeof row[column] === "number" ? "number" : ""}><${Cell} value=${row[column]} /></td>`)}</tr>`)}</tbody>
  </table>${sorted.length > shown && html`<button onClick=${() => setShown(shown + PIECE)}>${words.moreItems(Math.min(PIECE, sorted.length - shown))}</button>`}</div>`;
}

/** @param {{value: any}} properties */
function Cell({ value }) {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" && !/^https?:\/\//.test(value)) return html`<${Text} of=${value.slice(0, 300)} />`;
  return html`<${Leaf} value=${value} />`;
}

/** @param {any} a @param {any} b */
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), "en", { numeric: true });
}
