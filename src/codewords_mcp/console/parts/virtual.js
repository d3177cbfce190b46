// A list of any length: only the rows in sight are in the document.
import { html, useEffect, useLayoutEffect, useRef, useState } from "../ui.js";

const OVERSCAN = 12;

/** Whether rows are as tall as a finger. */
export const isPhone = () => matchMedia("(max-width: 48rem)").matches;

/** Whether a scale has room for few marks only. */
export const isNarrow = isPhone;

/**
 * @typedef {object} VirtualRow
 * @property {string} [class]
 * @property {unknown} content
 */

/**
 * @param {object} properties
 * @param {string} properties.id
 * @param {string} properties.label
 * @param {number} properties.count
 * @param {number} properties.rowHeight  In pixels, the same for all.
 * @param {string} properties.maxHeight  Of the list, in CSS.
 * @param {(index: number) => VirtualRow} properties.row
 * @param {number} properties.selected  -1 for none.
 * @param {(index: number) => void} properties.onSelect
 * @param {(index: number) => void} [properties.onOpen]
 * @param {boolean} [properties.stick]  Stay at the end as rows are added, unless the person has scrolled away from it.
 * @param {(atEnd: boolean) => void} [properties.onAtEnd]
 * @param {() => void} [properties.onTop]  Called when the first rows come into sight.
 * @param {{rows: number} | null} [properties.added]  So many rows were added before the others: what is in sight stays.
 * @param {{index: number} | null} [properties.jump]  Scroll there when this is another object.
 */
export function VirtualList({ id, label, count, rowHeight, maxHeight, row, selected, onSelect, onOpen, stick, onAtEnd, onTop, added, jump }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const atEnd = useRef(true);
  const [first, setFirst] = useState(0);
  const [height, setHeight] = useState(400);
  const shown = Math.ceil(height / rowHeight) + 2 * OVERSCAN;
  const start = Math.max(0, Math.min(first, count - shown));

  const onScroll = () => {
    const element = box.current;
    // A scroll is told a frame later, when the list may be gone.
    if (!element) return;
    const at = Math.floor(element.scrollTop / rowHeight) - OVERSCAN;
    // Half of the rows beyond the edge are drawn before others are needed.
    if (Math.abs(at - start) > OVERSCAN / 2 || at <= 0) setFirst(Math.max(0, at));
    if (element.scrollTop < element.clientHeight) onTop?.();
    const end = element.scrollTop + element.clientHeight >= element.scrollHeight - rowHeight;
    if (end !== atEnd.current) onAtEnd?.(end);
    atEnd.current = end;
  };

  useLayoutEffect(() => {
    if (stick && atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [count, stick]);

  useLayoutEffect(() => {
    if (added && box.current) box.current.scrollTop += added.rows * rowHeight;
  }, [added]);

  useEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    const observer = new ResizeObserver(() => setHeight(element.clientHeight));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    if (!jump || !box.current) return;
    const top = Math.max(0, (jump.index - 3) * rowHeight);
    const sees = top >= box.current.scrollTop && (jump.index + 1) * rowHeight <= box.current.scrollTop + box.current.clientHeight;
    if (!sees) box.current.scrollTop = top;
  }, [jump]);

  const select = (/** @type {number} */ index) => {
    if (!count) return;
    const next = Math.max(0, Math.min(count - 1, index));
    onSelect(next);
    keepInSight(/** @type {HTMLElement} */ (box.current), next * rowHeight, rowHeight);
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const page = Math.max(1, Math.floor(height / rowHeight) - 1);
    const moves = /** @type {Record<string, number>} */ ({
      ArrowDown: selected + 1, j: selected + 1, ArrowUp: selected - 1, k: selected - 1, Home: 0, End: count - 1,
      PageDown: selected + page, PageUp: selected - page,
    });
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in moves) select(moves[event.key]);
    else if (event.key === "Enter" && selected >= 0) (onOpen ?? onSelect)(selected);
    else return;
    event.preventDefault();
  };

  const rows = [];
  for (let index = start; index < Math.min(count, start + shown); index += 1) {
    const { class: name, content } = row(index);
    rows.push(html`<div key=${index % shown} id=${`${id}-${index}`} role="option" class=${name} aria-selected=${index === selected} aria-posinset=${index + 1} aria-setsize=${count}
      style=${{ height: `${rowHeight}px` }} onClick=${() => onSelect(index)} onDblClick=${() => onOpen?.(index)}>${content}</div>`);
  }
  return html`<div class="virtual" ref=${box} role="listbox" tabindex="0" aria-label=${label} aria-activedescendant=${selected >= 0 ? `${id}-${selected}` : undefined}
      style=${{ height: `min(${count * rowHeight + 2}px, ${maxHeight})` }} onScroll=${onScroll} onKeyDown=${onKey}>
    <div role="presentation" style=${{ height: `${count * rowHeight}px` }}><div role="presentation" style=${{ transform: `translateY(${start * rowHeight}px)` }}>${rows}</div></div>
  </div>`;
}

/** @param {HTMLElement} box @param {number} top @param {number} height */
function keepInSight(box, top, height) {
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
}
