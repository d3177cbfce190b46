// The input and the answer of a run: a tree, a table, a picture, a PDF, a page in a frame, or text.
import { send } from "../api.js";
import { bytes, dayTime } from "../format.js";
import { answer as words } from "../strings.js";
import { html, useEffect, useState } from "../ui.js";
import { JsonTree, tableOf } from "./json.js";
import { lazy } from "./lazy.js";
import { now, Copy, Text } from "./text.js";

const DataTable = lazy(async () => (await import("./data_table.js")).DataTable);
const PAGE = /^\s*<(!doctype html|html|head|body)\b/i;
const PICTURE = /^image\/(png|jpeg|gif|webp|avif|bmp)$/;

/** @param {{run: import("./run_facts.js").RunRecord}} properties */
export function Answer({ run }) {
  if (run.responseFile) return html`<${Box} title=${words.title} status=${run.responseStatus}><${File} file=${run.responseFile} /><//>`;
  return html`<${Content} title=${words.title} status=${run.responseStatus} text=${run.responseContent} json=${run.responseJson}
    type=${run.responseContentType ?? ""} truncated=${run.responseTruncated} none=${words.none} />`;
}

/** @param {{run: import("./run_facts.js").RunRecord, active: boolean}} properties */
export const Input = ({ run, active }) => html`<${Content} title=${words.input} text=${run.requestContent} json=${parsed(run.requestContent)}
  type="" truncated=${run.requestTruncated} none=${active ? words.later : words.noInput} />`;

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

/** @param {{title: string, status?: number | null, text: string | null, json: any, type: string, truncated: boolean, none: string}} properties */
function Content({ title, status, text, json, type, truncated, none }) {
  const table = json === null ? null : tableOf(json);
  const views = viewsOf(json, table, text ?? "", type);
  const [chosen, setView] = useState("");
  const view = views.includes(chosen) ? chosen : views[0];
  if (text === null || text === "") return html`<${Box} title=${title} status=${status}><p class="dim">${none}</p><//>`;

  const tools = html`<span class="actions">${views.length > 1 && html`<span class="choice" role="group">${views.map((name) => html`
    <button aria-pressed=${view === name} onClick=${() => setView(name)}>${name}</button>`)}</span>`}<${Copy} text=${text} /></span>`;
  return html`<${Box} title=${title} status=${status} tools=${tools}>
    ${view === words.tree && html`<${JsonTree} value=${json} />`}
    ${view === words.table && table && html`<${DataTable} rows=${table} />`}
    ${view === words.page && html`<${PageFrame} text=${text} />`}
    ${view === words.text && html`<pre tabindex="0"><${Text} of=${text} /></pre>`}
    ${truncated && html`<p class="dim">${words.truncated}</p>`}<//>`;
}

/** @param {any} json @param {any} table @param {string} text @param {string} type */
function viewsOf(json, table, text, type) {
  if (json !== null && json !== undefined) return [...(table ? [words.table] : []), words.tree, words.text];
  return type.startsWith("text/html") || PAGE.test(text) ? [words.page, words.text] : [words.text];
}

/** HTML of a workflow, in a frame of an opaque origin without scripts. @param {{text: string}} properties */
function PageFrame({ text }) {
  const address = useBlob(text, "text/html;charset=utf-8");
  return address && html`<iframe sandbox="" title=${words.frame} src=${address} referrerpolicy="no-referrer"></iframe><p class="dim">${words.frame}</p>`;
}

/** @param {string | Blob | null} content @param {string} type */
function useBlob(content, type) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    if (content === null) return undefined;
    const made = URL.createObjectURL(new Blob([content], { type }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [content]);
  return address;
}

/** @param {{file: any}} properties */
function File({ file }) {
  const own = file.downloadUri && new URL(file.downloadUri, location.href).origin === location.origin;
  return html`
    ${own && PICTURE.test(file.contentType) && html`<p><img class="picture" src=${file.downloadUri} alt=${words.image} /></p>`}
    ${own && file.contentType === "application/pdf" && html`<${Pdf} address=${file.downloadUri} />`}
    <p><${Text} of=${file.filename} /> <span class="dim">${file.contentType} · ${bytes(file.size)}${file.expiresAt && ` · ${words.expires(dayTime(file.expiresAt, now.peek()))}`}</span></p>
    ${file.problem && html`<p class="dim">${words.problems[file.problem]}</p>`}
    ${file.downloadUri && html`<p><a class="button" href=${file.downloadUri} target="_blank" rel="noopener noreferrer" download>${words.download}</a></p>`}`;
}

/** The browser's own viewer shows it: whatever the bytes are, they are taken for a PDF. @param {{address: string}} properties */
function Pdf({ address }) {
  const [content, setContent] = useState(/** @type {Blob | null} */ (null));
  useEffect(() => {
    const { pathname, search } = new URL(address, location.href);
    send("GET", pathname + search).then(async (response) => setContent(await response.blob()), () => {});
  }, [address]);
  const blob = useBlob(content, "application/pdf");
  return blob && html`<iframe title=${words.pdf} src=${blob}></iframe>`;
}
