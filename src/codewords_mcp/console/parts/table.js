// A table of rows, a piece at a time; on a phone each row is a card with the names of its columns.
import { answer as words } from "../strings.js";
import { html, useState } from "../ui.js";

/** Rows that are in the document at first, and that each press adds. */
const PIECE = 100;

/**
 * @template T
 * @typedef {object} Column
 * @property {string} name
 * @property {(row: T) => unknown} cell
 * @property {string} [class]  `number` aligns at the right.
 */

/**
 * @template T
 * @param {{label: string, columns: Column<T>[], rows: T[], id: (row: T) => string, whole?: boolean}} properties  `whole`: the rows come by pages already.
 */
export function Table({ label, columns, rows, id, whole }) {
  const [most, setMost] = useState(whole ? Infinity : PIECE);
  return html`<div class="table-box"><table class="table cards">
    <caption class="hidden">${label}</caption>
    <thead><tr>${columns.map((column) => html`<th class=${column.class ?? ""} scope="col">${column.name || html`<span class="hidden">${label}</span>`}</th>`)}</tr></thead>
    <tbody>${rows.slice(0, most).map((row) => html`<tr key=${id(row)}>${columns.map((column) => html`<td class=${column.class ?? ""} data-label=${column.name}><div class="cell">${column.cell(row)}</div></td>`)}</tr>`)}</tbody>
  </table></div>${rows.length > most && html`<p class="more"><button onClick=${() => setMost(most + PIECE)}>${words.moreItems(Math.min(PIECE, rows.length - most))}</button></p>`}`;
}
