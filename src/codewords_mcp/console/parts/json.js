// JSON as a tree: a branch is in the document when it is open, a long one in pieces.
import { answer as words } from "../strings.js";
import { html, useState } from "../ui.js";
import { Icon } from "./icons.js";
import { Text } from "./text.js";

const PIECE = 100;
const LONG = 400;
const OPEN_DEPTH = 2;
const OPEN_CHILDREN = 30;
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;

/** @param {{value: unknown}} properties */
export const JsonTree = ({ value }) => html`<div class="tree">${isBranch(value) ? html`<${Children} value=${value} depth=${0} />` : html`<${Leaf} value=${value} />`}</div>`;

/** @param {unknown} value */
const isBranch = (value) => typeof value === "object" && value !== null && Object.keys(value).length > 0;

/** @param {{value: any, depth: number}} properties */
function Children({ value, depth }) {
  const [shown, setShown] = useState(PIECE);
  const entries = Object.entries(value);
  return html`<ul>
    ${entries.slice(0, shown).map(([name, child]) => html`<${Entry} key=${name} name=${name} value=${child} depth=${depth} />`)}
    ${entries.length > shown && html`<li><button class="link" onClick=${() => setShown(shown + PIECE)}>${words.moreItems(Math.min(PIECE, entries.length - shown))}</button></li>`}
  </ul>`;
}

/** @param {{name: string, value: any, depth: number}} properties */
function Entry({ name, value, depth }) {
  const branch = isBranch(value);
  const [open, setOpen] = useState(branch && depth < OPEN_DEPTH && Object.keys(value).length <= OPEN_CHILDREN);
  if (!branch) return html`<li><span class="key"><${Text} of=${name} /></span>: <${Leaf} value=${value} /></li>`;
  return html`<li>
    <button class="toggle" aria-expanded=${open} onClick=${() => setOpen(!open)}><${Icon} name="chevron" /><span class="key"><${Text} of=${name} /></span><span class="dim">${sizeOf(value)}</span></button>
    ${open && html`<${Children} value=${value} depth=${depth + 1} />`}</li>`;
}

/** @param {any} value */
const sizeOf = (value) => (Array.isArray(value) ? `[${value.length}]` : `{${Object.keys(value).length}}`);

/** @param {{value: any}} properties */
export function Leaf({ value }) {
  const [whole, setWhole] = useState(false);
  if (typeof value === "string") {
    if (PICTURE.test(value)) return html`<img src=${value} alt=${words.image} />`;
    if (/^https?:\/\/\S+$/.test(value)) return html`<a href=${value} target="_blank" rel="noopener noreferrer"><${Text} of=${value} /></a>`;
    const shown = whole ? value : value.slice(0, LONG);
    return html`<span class="string">“<${Text} of=${shown} />”</span>${shown.length < value.length && html` <button class="link" onClick=${() => setWhole(true)}>${words.whole}</button>`}`;
  }
  if (typeof value === "number") return html`<span class="number">${String(value)}</span>`;
  return html`<span class="literal">${JSON.stringify(value)}</span>`;
}

const LEAST_ROWS = 2;

/** The list of objects in an answer: itself, or the longest among its values. @param {any} value @returns {Record<string, any>[] | null} */
export function tableOf(value) {
  const candidates = Array.isArray(value) ? [value] : value && typeof value === "object" ? Object.values(value) : [];
  const tables = candidates.filter((list) => Array.isArray(list) && list.length >= LEAST_ROWS && list.every(isFlat));
  return tables.sort((a, b) => b.length - a.length)[0] ?? null;
}

/** @param {any} row */
const isFlat = (row) => row && typeof row === "object" && !Array.isArray(row) && Object.values(row).every((cell) => cell === null || typeof cell !== "object");
