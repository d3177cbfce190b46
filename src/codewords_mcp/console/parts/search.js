// Search everything by name, and the list of keys.
import { visible } from "../format.js";
import { go, NAVIGATION } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { keys as keyWords, search as words } from "../strings_dialogs.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { Dialog } from "./dialog.js";
import { overlay } from "./keys.js";
import { workflows } from "./names.js";
import { allOf } from "./pages.js";

/** @typedef {{kind: keyof typeof words.kinds, name: string, href: string}} Hit */

const MOST = 12;
const LEAST = 2;
const RUN_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Lists that are searched here, as they are short. @type {[Hit["kind"], string, (item: any) => string, (item: any) => string][]} */
const LISTS = [
  ["secret", "/secrets", (item) => item.name, () => "/console/secrets"],
  ["draft", "/drafts", (item) => item.name, (item) => `/console/drafts/${item.draft_id}`],
  ["service", "/services", (item) => item.title ?? item.name, (item) => `/console/services/${item.name}`],
  ["template", "/templates", (item) => item.title, (item) => `/console/templates?template=${item.id}`],
];

const close = () => (overlay.value = "");

export function Search() {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const others = useOthers();
  const operations = useOperations(text);
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const hits = found(text, [...others, ...operations]);

  const open = (/** @type {Hit | undefined} */ hit) => {
    if (!hit) return;
    close();
    go(hit.href);
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      setAt(Math.max(0, Math.min(hits.length - 1, at + step)));
      event.preventDefault();
    } else if (event.key === "Enter") open(hits[at]);
  };
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at]);

  return html`<${Dialog} title=${words.title} onClose=${close}>
    <input class="search-input" type="search" autofocus role="combobox" aria-expanded="true" aria-controls="hits" aria-activedescendant=${hits.length ? `hit-${at}` : undefined}
      aria-label=${words.label} placeholder=${words.hint} value=${text} onKeyDown=${onKey}
      onInput=${(/** @type {any} */ event) => { setText(event.target.value); setAt(0); }} />
    ${hits.length ? html`<ul id="hits" class="hits" role="listbox" aria-label=${words.title} ref=${list}>${hits.map((hit, n) => html`
      <li role="option" id=${`hit-${n}`} aria-selected=${n === at} onClick=${() => open(hit)}><span>${visible(hit.name)}</span><span class="dim">${words.kinds[hit.kind]}</span></li>`)}</ul>`
      : html`<p id="hits" class="dim">${words.nothing}</p>`}
  <//>`;
}

/** @returns {Hit[]} */
function useOthers() {
  const [hits, setHits] = useState(/** @type {Hit[]} */ ([]));
  useEffect(() => {
    for (const [kind, path, name, href] of LISTS) {
      allOf(path, {}, { quiet: true }).then(
        (items) => setHits((before) => [...before, ...items.map((/** @type {any} */ item) => ({ kind, name: name(item), href: href(item) }))]),
        () => {},
      );
    }
  }, []);
  return hits;
}

/** Operations of the API, whose long description is only loaded for somebody who types. @param {string} text @returns {Hit[]} */
function useOperations(text) {
  const [hits, setHits] = useState(/** @type {Hit[]} */ ([]));
  const wanted = text.trim().length >= LEAST;
  useEffect(() => {
    if (!wanted) return;
    import("./operations.js").then(async ({ loadOperations, pathOf }) => setHits((await loadOperations()).map((one) => ({ kind: "operation", name: `${one.summary} · ${one.id}`, href: pathOf(one) })))).catch(() => {});
  }, [wanted]);
  return hits;
}

/** @param {string} text @param {Hit[]} others @returns {Hit[]} */
function found(text, others) {
  const query = text.trim().toLowerCase();
  /** @type {Hit[]} */
  const pages = NAVIGATION.flat().map(([id, href]) => ({ kind: "page", name: PAGE_NAMES[id], href }));
  /** @type {Hit[]} */
  const named = [...(workflows.value?.values() ?? [])].map((workflow) => ({
    kind: "workflow", name: workflow.name, href: `/console/workflows/${workflow.service_id}`,
  }));
  /** @type {Hit[]} */
  const run = RUN_ID.test(query) ? [{ kind: "run", name: query, href: `/console/runs/${query}` }] : [];
  return [...run, ...named, ...pages, ...others].filter((hit) => hit.name.toLowerCase().includes(query)).slice(0, MOST);
}

export const Keys = () => html`<${Dialog} title=${keyWords.title} onClose=${close}>
  <dl class="keys">${[...keyWords.rows, ...NAVIGATION.flat().map(([id, , key]) => [`g ${key}`, PAGE_NAMES[id]])].map(([key, what]) => html`
    <dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}</dl>
<//>`;
