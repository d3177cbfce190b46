// Moving among the rows of a list by keys.
import { isTyping } from "./keys.js";

/**
 * Move the focus among the rows of a list: arrows, or j and k.
 * @param {KeyboardEvent} event @param {HTMLElement | null} list @param {string} selector
 */
export function moveFocus(event, list, selector) {
  const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
  if (!step || !list || isTyping(event.target)) return;

  const rows = /** @type {HTMLElement[]} */ ([...list.querySelectorAll(selector)]);
  const row = event.target instanceof Element ? event.target.closest("[data-row]") : null;
  const now = rows.findIndex((candidate) => row?.contains(candidate));
  const next = rows[Math.max(0, Math.min(rows.length - 1, now + step))];
  next?.focus();
  event.preventDefault();
}
