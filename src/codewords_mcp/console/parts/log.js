// The live log of a run: levels, search, and one line shown whole.
import { download } from "../api.js";
import { address, setQuery } from "../router.js";
import { common, log as words } from "../strings.js";
import { html, useEffect, useMemo, useState } from "../ui.js";
import { lazy } from "./lazy.js";
import { LogStore } from "./log_store.js";
import { Text } from "./text.js";
import { isPhone, VirtualList } from "./virtual.js";

const Whole = lazy(async () => (await import("./log_line.js")).Whole);
const STEP = /^STEPLOG START (.+)$/;
const LONGEST = 600;

/**
 * @param {object} properties
 * @param {string} properties.run
 * @param {number} properties.start  Milliseconds of the epoch from which times are counted.
 * @param {boolean} properties.active
 * @param {{at: number} | null} properties.jump  Scroll to this time.
 */
export function Log({ run, start, active, jump }) {
  const store = useMemo(() => new LogStore(), [run]);
  const query = address.value.query;
  const level = query.get("level") ?? "";
  const text = query.get("q") ?? "";
  const [selected, setSelected] = useState(-1);
  const [atEnd, setAtEnd] = useState(true);
  const [read, setRead] = useState(0);
  const [added, setAdded] = useState(/** @type {{rows: number} | null} */ (null));

  useEffect(() => {
    const abort = new AbortController();
    store.follow(run, abort.signal);
    return () => abort.abort();
  }, [run]);
  useEffect(() => {
    store.filter(level, text);
    setSelected(-1);
  }, [level, text, store]);

  store.version.value;
  const loadOlder = async () => {
    const rows = await store.loadOlder(run);
    if (!rows) return;
    setAdded({ rows });
    setSelected((at) => (at < 0 ? at : at + rows));
  };
  // What is looked for, or jumped to, may be among lines that are not here yet.
  const beyond = store.older.value && jump !== null && store.lines.length > 0 && jump.at < store.lines[0].at;
  useEffect(() => {
    if (store.older.value && (level || text || beyond)) loadOlder();
  }, [level, text, beyond, store.older.value, store.lines.length >> 12]);
  const place = useMemo(() => (jump && store.count && !beyond ? { index: store.placeAt(jump.at) } : null), [jump, beyond]);
  const [toEnd, setToEnd] = useState(/** @type {{index: number} | null} */ (null));
  const fresh = atEnd ? 0 : store.count - read;
  const phone = isPhone();

  return html`<section class="card log" aria-label=${words.title}>
    <header><h2>${words.title}</h2><${Tools} level=${level} text=${text} /></header>
    ${store.count > 0
      ? html`<${VirtualList} id="log" label=${words.label} count=${store.count} rowHeight=${phone ? 26 : 22} maxHeight="var(--tall, min(60vh, 34rem))" selected=${selected} onSelect=${setSelected}
          stick=${active || store.older.value} onTop=${loadOlder} added=${added} jump=${toEnd ?? place} onAtEnd=${(/** @type {boolean} */ end) => { setAtEnd(end); setRead(store.count); setToEnd(null); }}
          row=${(/** @type {number} */ index) => row(store.at(index), start, text)} />`
      : html`<p class="dim">${emptyWords(store, active, Boolean(level || text))}</p>`}
    ${selected >= 0 && selected < store.count && html`<${Whole} line=${store.at(selected)} />`}
    <footer class="foot">
      <span>${level || text ? words.matches(store.count, store.lines.length) : words.lines(store.lines.length)}${store.older.value && ` · ${words.older}`}${store.dropped > 0 && ` · ${words.dropped(store.dropped)}`}</span>
      ${active && fresh > 0 && html`<button onClick=${() => setToEnd({ index: store.count + 3 })}>${words.arrived(fresh)}</button>`}
      ${store.state.value === "broken" && html`<span role="status">${words.broken}</span>`}
      <button class="link" onClick=${() => download(`/logs/${run}?follow=0`, `${run}.ndjson`)}>${words.download}</button>
    </footer>
  </section>`;
}

/** @param {LogStore} store @param {boolean} active @param {boolean} filtered */
function emptyWords(store, active, filtered) {
  if (filtered && store.lines.length) return words.none;
  if (active) return words.waiting;
  return store.state.value === "open" ? `${common.loading} …` : words.empty;
}

/** @param {{level: string, text: string}} properties */
const Tools = ({ level, text }) => html`<div class="tools">
  <div class="choice" role="group" aria-label=${words.level}>${words.levels.map(([value, name]) => html`
    <button aria-pressed=${level === value} onClick=${() => setQuery({ level: value || null })}>${name}</button>`)}</div>
  <input type="search" aria-label=${words.search} placeholder=${words.search} value=${text} onInput=${(/** @type {any} */ event) => setQuery({ q: event.target.value || null })} />
</div>`;

/** @param {import("./log_store.js").Line} line @param {number} start @param {string} text */
function row(line, start, text) {
  const step = STEP.exec(line.text);
  const shown = line.text.slice(0, LONGEST);
  return {
    class: `${line.level} ${line.stream}`,
    content: html`<div class="line"><time>${((line.at - start) / 1000).toFixed(3)}</time><span>
      ${step ? html`<strong>▸ <${Text} of=${step[1]} /></strong>` : html`<span class="message"><${Found} of=${shown} text=${text} /></span>`}
      ${line.fields && Object.entries(line.fields).map(([name, value]) => html`<em>  <${Text} of=${name} />=<${Found} of=${short(value)} text=${text} /></em>`)}</span></div>`,
  };
}

/** @param {unknown} value */
const short = (value) => (typeof value === "string" ? value : JSON.stringify(value)).slice(0, 200);

/** A text with what was searched for marked. @param {{of: string, text: string}} properties */
function Found({ of, text }) {
  const at = text ? of.toLowerCase().indexOf(text.toLowerCase()) : -1;
  if (at < 0) return html`<${Text} of=${of} />`;
  return html`<${Text} of=${of.slice(0, at)} /><mark><${Text} of=${of.slice(at, at + text.length)} /></mark><${Text} of=${of.slice(at + text.length)} />`;
}
