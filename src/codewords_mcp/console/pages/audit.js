// The audit trail: who did what, when, from where, with filters, its verification, and its export.
import { get } from "../api.js";
import { visible } from "../format.js";
import { address, href, setQuery } from "../router.js";
import { common } from "../strings.js";
import { audit as words } from "../strings_audit.js";
import { html, useState } from "../ui.js";
import { useAction } from "../parts/action.js";
import { AuditEntry, Outcome } from "../parts/audit_entry.js";
import { exportLines, MOST_EXPORTED } from "../parts/audit_export.js";
import { RunLink, SecretLink, WorkflowLink } from "../parts/link.js";
import { idOf } from "../parts/names.js";
import { firstOf, PIECE } from "../parts/pages.js";
import { Problem, useResource } from "../parts/resource.js";
import { Table } from "../parts/table.js";
import { Copy, Text, useTitle, When } from "../parts/text.js";

const NAMES = /** @type {const} */ (["action", "outcome", "actor", "target", "since"]);

export default function Audit() {
  useTitle(words.title);
  const [most, setMost] = useState(PIECE);
  const filters = Object.fromEntries(NAMES.map((name) => [name, address.value.query.get(name) ?? ""]));
  const key = NAMES.map((name) => filters[name]).join("\n");
  const { data, error, reload } = useResource((signal) => firstOf("/audit", filters, most, { signal }), [most, key]);
  const filtered = Object.values(filters).some(Boolean);
  return html`
    <header class="head split"><h1>${data ? words.headline(data.items.length, data.more) : words.title}</h1></header>
    <${Filters} filters=${filters} filtered=${filtered} />
    <${Problem} error=${error} retry=${reload} />
    ${data?.items.length === 0 && !filtered && html`<div class="card empty"><p>${words.empty}</p></div>`}
    ${data && data.items.length > 0 && html`<section class="card"><${Table} label=${words.title} whole rows=${data.items} id=${(/** @type {any} */ entry) => String(entry.id)} columns=${COLUMNS} />
      ${data.more && html`<p class="more"><button onClick=${() => setMost(data.items.length + PIECE)}>${common.more}</button></p>`}</section>`}
    <${Chain} filters=${filters} />`;
}

/** @param {{filters: Record<string, string>, filtered: boolean}} properties */
function Filters({ filters, filtered }) {
  const [open, setOpen] = useState(false);
  const chosen = Object.values(filters).filter(Boolean).length;
  return html`<button class="fold" aria-expanded=${open} onClick=${() => setOpen(!open)}>${words.fold(chosen)}</button>
  <form class=${open ? "filters open" : "filters"} role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <${Choice} name="action" any=${common.all} options=${words.actions} filters=${filters} />
    <${Choice} name="outcome" any=${common.all} options=${words.outcomes} filters=${filters} />
    <${Choice} name="since" any=${words.anyTime} options=${words.times} filters=${filters} />
    <${Typed} name="actor" filters=${filters} />
    <${Typed} name="target" filters=${filters} />
    ${filtered && html`<a class="button clear" href=${href("/console/audit")}>${words.clear}</a>`}
  </form>`;
}

/** @param {{name: "action" | "outcome" | "since", any: string, options: string[][], filters: Record<string, string>}} properties */
const Choice = ({ name, any, options, filters }) => html`<label><span>${words.filters[name]}</span>
  <select name=${name} value=${filters[name]} onChange=${(/** @type {any} */ event) => setQuery({ [name]: event.target.value || null }, { push: true })}>
    <option value="">${any}</option>
    ${options.map(([value, text]) => html`<option value=${value} selected=${filters[name] === value}>${text}</option>`)}
    ${filters[name] && !options.some(([value]) => value === filters[name]) && html`<option value=${filters[name]} selected>${visible(filters[name])}</option>`}
  </select></label>`;

/** @param {{name: "actor" | "target", filters: Record<string, string>}} properties */
const Typed = ({ name, filters }) => html`<label><span>${words.filters[name]}</span>
  <input type="search" name=${name} maxlength="200" value=${filters[name]} onChange=${(/** @type {any} */ event) => setQuery({ [name]: event.target.value.trim() || null })} /></label>`;

/** The thing that an entry is about, as a link where it has a page. @param {any} entry */
function About({ entry }) {
  const [noun] = entry.action.split(".");
  if (noun === "run") return html`<${RunLink} id=${entry.target} />`;
  if (noun === "secret") return html`<${SecretLink} name=${entry.target} />`;
  const workflow = entry.target.split("/")[0];
  if (["workflow", "version", "consent", "call"].includes(noun) && idOf(workflow)) return html`<${WorkflowLink} id=${idOf(workflow)} />`;
  return entry.target ? html`<span class="mono"><${Text} of=${entry.target} /></span>` : common.none;
}

const COLUMNS = [
  { name: words.columns.at, cell: (/** @type {any} */ entry) => html`<${When} at=${entry.at} />` },
  { name: words.columns.by, cell: (/** @type {any} */ entry) => html`<${Text} of=${entry.actor || words.door[entry.front_door]} />` },
  { name: words.columns.action, cell: (/** @type {any} */ entry) => html`<${AuditEntry} entry=${entry} />` },
  { name: words.columns.about, cell: (/** @type {any} */ entry) => html`<${About} entry=${entry} />` },
  { name: words.columns.outcome, cell: (/** @type {any} */ entry) => html`<${Outcome} of=${entry.outcome} />` },
  { name: words.columns.from, cell: (/** @type {any} */ entry) => html`<span class="dim">${words.door[entry.front_door]}${entry.address && html` · <${Text} of=${entry.address} />`}</span>` },
];

/** @param {{filters: Record<string, string>}} properties */
function Chain({ filters }) {
  const [report, setReport] = useState(/** @type {any} */ (null));
  const [exported, setExported] = useState(/** @type {{count: number, cut: boolean} | null} */ (null));
  const action = useAction();
  const verify = () => action.run(async () => setReport(await get("/audit/verification")));
  const save = () => action.run(async () => setExported(await exportLines(filters, (count) => setExported({ count, cut: false }))));
  return html`<section class="card">
    <div class="actions"><button onClick=${verify} disabled=${action.working}>${words.verify}</button><button onClick=${save} disabled=${action.working}>${words.download}</button></div>
    <${Problem} error=${action.error} />
    ${exported && html`<p class="dim" role="status">${exported.cut ? words.cut(MOST_EXPORTED) : words.downloaded(exported.count)}</p>`}
    ${report && html`<div role="status"><h2>${report.problems.length ? words.broken(report.problems.length) : words.verified(report.entries, report.blocks)}</h2>
      ${report.problems.map((/** @type {any} */ problem) => html`<p>${problem.message}</p>`)}
      ${report.removed_through > 0 && html`<p class="dim">${words.removed(report.removed_through)}</p>`}
      ${!report.problems.length && html`<p class="dim">${words.head}</p><div class="snippet"><pre tabindex="0">${report.head}</pre><${Copy} text=${report.head} /></div>`}</div>`}
  </section>`;
}
