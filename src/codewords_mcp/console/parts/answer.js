// The input and the answer of a run: a tree, a table, a picture, a PDF, a page in a frame, or text.
import { answer as words } from "../strings.js";
import { html, useState } from "../ui.js";
import { JsonTree, tableOf } from "./json.js";
import { lazy } from "./lazy.js";
import { Copy, Text } from "./text.js";

const PageFrame = lazy(async () => (await import("./answer_file.js")).PageFrame);
const File = lazy(async () => (await import("./answer_file.js")).File);
const DataTable = lazy(async () => (await import("./data_table.js")).DataTable);
const PAGE = /^\s*<(!doctype html|html|head|body)\b/i;

/** @param {{run: import("./run_facts.js").RunRecord}} properties */
export function Answer({ run }) {
  if (run.responseFile) return html`<${Box} title=${words.title} status=${run.responseStatus}><${File} file=${run.responseFile} /><//>`;
  return html`<${Content} title=${words.title} status=${run.responseStatus} text=${run.responseContent} json=${run.responseJson}
    page=${`/console/answers/${run.id}`} truncated=${run.responseTruncated} none=${words.none} />`;
}

/** @param {{run: import("./run_facts.js").RunRecord, active: boolean}} properties */
export const Input = ({ run, active }) => html`<${Content} title=${words.input} text=${run.requestContent} json=${parsed(run.requestContent)}
  truncated=${run.requestTruncated} none=${active ? words.later : words.noInput} />`;

/** @param {string | null} text */
function parsed(text) {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

/** @param {{title: string, status?: number | null, tools?: unknown, children?: unknown}} properties */
const Box = ({ title, status, tools, children }) => html`<section class="card answer" aria-label=${title}>
  <header><h2>${title} ${status && html`<span class="dim">${words.status(status)}</span>`}</h2>${tools}</header>${children}</section>`;

/** @param {{title: string, status?: number | null, text: string | null, json: any, page?: string, truncated: boolean, none: string}} properties */
function Content({ title, status, text, json, page, truncated, none }) {
  const table = json === null ? null : tableOf(json);
  const views = viewsOf(json, table, text ?? "", page);
  const [chosen, setView] = useState("");
  const view = views.includes(chosen) ? chosen : views[0];
  if (text === null || text === "") return html`<${Box} title=${title} status=${status}><p class="dim">${none}</p><//>`;

  const tools = html`<span class="actions">${views.length > 1 && html`<span class="choice" role="group">${views.map((name) => html`
    <button aria-pressed=${view === name} onClick=${() => setView(name)}>${name}</button>`)}</span>`}<${Copy} text=${text} /></span>`;
  return html`<${Box} title=${title} status=${status} tools=${tools}>
    ${view === words.tree && html`<${JsonTree} value=${json} />`}
    ${view === words.table && table && html`<${DataTable} rows=${table} />`}
    ${view === words.page && page && html`<${PageFrame} address=${page} />`}
    ${view === words.text && html`<pre tabindex="0"><${Text} of=${text} /></pre>`}
    ${truncated && html`<p class="dim">${words.truncated}</p>`}<//>`;
}

/** @param {any} json @param {any} table @param {string} text @param {string} [page] */
function viewsOf(json, table, text, page) {
  if (json !== null && json !== undefined) return [...(table ? [words.table] : []), words.tree, words.text];
  return page && PAGE.test(text) ? [words.page, words.text] : [words.text];
}
