// A table of rows; on a phone each row is a card with the names of its columns.
import { html } from "../ui.js";

/**
 * @template T
 * @typedef {object} Column
 * @property {string} name
 * @property {(row: T) => unknown} cell
 * @property {string} [class]  `number` aligns at the right.
 */

/**
 * @template T
 * @param {{label: string, columns: Column<T>[], rows: T[], id: (row: T) => string}} properties
 */
export const Table = ({ label, columns, rows, id }) => html`<div class="table-box"><table class="table cards">
  <caption class="hidden">${label}</caption>
  <thead><tr>${columns.map((column) => html`<th class=${column.class ?? ""} scope="col">${column.name || html`<span class="hidden">${label}</span>`}</th>`)}</tr></thead>
  <tbody>${rows.map((row) => html`<tr key=${id(row)}>${columns.map((column) => html`<td class=${column.class ?? ""} data-label=${column.name}><div class="cell">${column.cell(row)}</div></td>`)}</tr>`)}</tbody>
</table></div>`;
