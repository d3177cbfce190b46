// The timeline of a run: one row a span; drag over it to zoom.
import { count, duration } from "../format.js";
import { address, go, setQuery } from "../router.js";
import { timeline as words } from "../strings.js";
import { html, useEffect, useMemo, useRef, useState } from "../ui.js";
import { lazy } from "./lazy.js";
import { classOf, endOf, nameOfSpan, rowsOf, ticksOf } from "./spans.js";
import { Text } from "./text.js";
import { isNarrow, isPhone, VirtualList } from "./virtual.js";

const SpanFacts = lazy(async () => (await import("./span_facts.js")).SpanFacts);
const LEAST_DRAG_PX = 5;
/** More rows than these are grouped. */
const MANY = 100;

/** @typedef {import("./spans.js").Span} Span */

/** @param {{trace: any, elapsed: number | null, onSpan: (span: Span) => void}} properties  `elapsed`: of a run that goes on. */
export function Timeline({ trace, elapsed, onSpan }) {
  const all = useMemo(() => rowsOf(trace.spans), [trace]);
  const [group, setGroup] = useState(/** @type {{of: typeof import("./span_groups.js").grouped} | null} */ (null));
  const many = all.length > MANY;
  const end = Math.max(endOf(trace), elapsed ?? 0);
  const { query } = address.value;
  const view = viewOf(query.get("zoom"), end);
  const id = query.get("span");
  const opened = query.get("calls");
  const rows = useMemo(() => (many && group ? group.of(all, opened, id) : all), [all, many && group, opened, many && id]);
  const selected = rows.findIndex(({ span }) => span.id === id);
  const [drag, setDrag] = useState(/** @type {{from: number, to: number} | null} */ (null));
  const scale = useRef(/** @type {HTMLElement | null} */ (null));
  const pressed = useRef(/** @type {{x: number, at: number} | null} */ (null));
  const phone = isPhone();
  const narrow = isNarrow();

  useEffect(() => {
    if (many) import("./span_groups.js").then(({ grouped }) => setGroup({ of: grouped }), () => {});
  }, [many]);

  const zoom = (/** @type {number} */ from, /** @type {number} */ to) => {
    const whole = from <= 0 && to >= end;
    setQuery({ zoom: whole ? null : `${Math.max(0, from).toFixed(2)}-${Math.min(end, to).toFixed(2)}` });
  };
  const timeAt = (/** @type {number} */ x) => {
    const box = /** @type {HTMLElement} */ (scale.current).getBoundingClientRect();
    return view.from + Math.min(1, Math.max(0, (x - box.left) / box.width)) * (view.to - view.from);
  };
  const within = (/** @type {PointerEvent} */ event) => {
    const box = scale.current?.getBoundingClientRect();
    const onScale = event.target instanceof Node && scale.current?.contains(event.target);
    // A finger on the rows scrolls; on the scale it zooms.
    return box && event.clientX >= box.left && event.clientX <= box.right && (onScale || event.pointerType === "mouse");
  };

  const onDown = (/** @type {PointerEvent} */ event) => {
    if (event.button === 0 && within(event)) pressed.current = { x: event.clientX, at: timeAt(event.clientX) };
  };
  const onMove = (/** @type {PointerEvent} */ event) => {
    if (!pressed.current || Math.abs(event.clientX - pressed.current.x) < LEAST_DRAG_PX) return;
    /** @type {HTMLElement} */ (event.currentTarget).setPointerCapture(event.pointerId);
    const at = timeAt(event.clientX);
    setDrag({ from: Math.min(pressed.current.at, at), to: Math.max(pressed.current.at, at) });
  };
  const onUp = () => {
    if (drag && drag.to - drag.from > (view.to - view.from) / 1000) zoom(drag.from, drag.to);
    pressed.current = null;
    setDrag(null);
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const size = view.to - view.from;
    const steps = /** @type {Record<string, [number, number]>} */ ({
      "+": [view.from + size / 4, view.to - size / 4], "=": [view.from + size / 4, view.to - size / 4],
      "-": [view.from - size / 2, view.to + size / 2], ArrowLeft: pan(view, -size / 5, end), ArrowRight: pan(view, size / 5, end), Escape: [0, end],
    });
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    zoom(...steps[event.key]);
    event.preventDefault();
  };

  const select = (/** @type {number} */ index) => {
    setQuery({ span: rows[index].span.id });
    onSpan(rows[index].span);
  };
  const open = (/** @type {number} */ index) => {
    const { span, members } = rows[index];
    if (members) setQuery({ calls: span.id === opened ? null : span.id });
    else if (span.run_id) go(`/console/runs/${span.run_id}`);
  };
  const isZoomed = view.from > 0 || view.to < end;

  return html`<section class="card timeline" aria-label=${words.title} onKeyDown=${onKey} onPointerDown=${onDown} onPointerMove=${onMove} onPointerUp=${onUp} onPointerCancel=${onUp}>
    <header><h2>${words.title}</h2>${isZoomed
      ? html`<span class="actions"><span class="dim">${words.zoomed(duration(view.from), duration(view.to))}</span><button onClick=${() => zoom(0, end)}>${words.whole}</button></span>`
      : html`<${Legend} />`}</header>
    ${rows.length ? html`
      <div class="scale" aria-hidden="true" title=${words.help}><span></span><div class="bars" ref=${scale}>
        ${ticksOf(view.from, view.to, narrow ? 2 : 7).filter((tick) => tick <= view.to - (view.to - view.from) * (narrow ? 0.25 : 0.07)).map((tick) => html`<i key=${tick} style=${{ left: share(tick, view) }}>${tickWords(tick)}</i>`)}
        ${drag && html`<b class="drag" style=${{ left: share(drag.from, view), width: part(drag.to - drag.from, view) }}></b>`}
      </div><span></span></div>
      <${VirtualList} id="span" label=${words.label} count=${rows.length} rowHeight=${phone ? 44 : 28} maxHeight="var(--tall, min(56vh, 30rem))" selected=${selected} onSelect=${select} onOpen=${open}
        row=${(/** @type {number} */ index) => row(rows[index], view, end)} />` : html`<p class="dim">${words.empty}</p>`}
    ${selected >= 0 && html`<${SpanFacts} ...${rows[selected]} />`}
    ${trace.incomplete?.length > 0 && html`<p class="dim">${words.incomplete}: <${Text} of=${trace.incomplete.join(" ")} /></p>`}
  </section>`;
}

const Legend = () => html`<span class="legend" aria-hidden="true">${Object.entries(words.kinds).filter(([kind]) => kind !== "workflow").map(([kind, name]) => html`<span class=${kind}>${name}</span>`)}</span>`;

/** @typedef {{from: number, to: number}} View */

/** @param {string | null} text @param {number} end @returns {View} */
function viewOf(text, end) {
  const [from, to] = (text ?? "").split("-").map(Number);
  return to > from && from >= 0 ? { from, to: Math.min(to, end) } : { from: 0, to: end };
}

/** @param {View} view @param {number} by @param {number} end @returns {[number, number]} */
function pan(view, by, end) {
  const from = Math.max(0, Math.min(end - (view.to - view.from), view.from + by));
  return [from, from + view.to - view.from];
}

/** @param {number} time @param {View} view */
const share = (time, view) => `${(100 * (time - view.from)) / (view.to - view.from)}%`;

/** @param {number} size @param {View} view */
const part = (size, view) => `${(100 * size) / (view.to - view.from)}%`;

/** @param {number} ms */
const tickWords = (ms) => (ms >= 60_000 ? duration(ms) : ms >= 1000 ? `${Number((ms / 1000).toFixed(2))} s` : `${Number(ms.toFixed(2))} ms`);

/** @param {import("./spans.js").SpanRow} row @param {View} view @param {number} end */
function row({ span, depth, members, path }, view, end) {
  const took = span.duration_ms ?? end - span.start_ms;
  return {
    class: classOf(span),
    content: html`<div class="row">
      <span class="label" style=${{ paddingLeft: `${Math.min(depth, 6) * 0.9}rem` }}><span>${members && html`<b>${count(members.length)} ×</b> `}<${Text} of=${nameOfSpan(span)} /></span></span>
      <span class="bars">${path ? html`<svg viewBox=${`${view.from} 0 ${view.to - view.from} 1`} preserveAspectRatio="none"><path d=${path} /></svg>` : html`<span class="bar" style=${{ left: `min(${share(span.start_ms, view)}, 100% - 2px)`, width: part(took, view) }}></span>`}</span>
      <span class="took">${span.duration_ms === undefined ? words.open : duration(span.duration_ms)}</span></div>`,
  };
}
