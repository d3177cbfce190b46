// The first items of a list that the API gives by pages.
import { get } from "../api.js";

/** Items that a list shows at first, and that each press adds. */
export const PIECE = 50;

/** The first so many, page after page, and whether there are more. @param {string} path @param {Record<string, unknown>} query @param {number} most @param {AbortSignal} signal */
export async function firstOf(path, query, most, signal) {
  /** @type {any[]} */
  const items = [];
  let cursor = null;
  do {
    const page = await get(path, { ...query, limit: PIECE, cursor }, { signal });
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < most);
  return { items, more: Boolean(cursor) };
}
