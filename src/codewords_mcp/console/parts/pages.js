// The first items, or all, of a list that the API gives by pages.
import { get } from "../api.js";

/** Items that a list shows at first, and that each press adds. */
export const PIECE = 50;

/** The first so many, page after page, and whether there are more. @param {string} path @param {Record<string, unknown>} query @param {number} most @param {import("../api.js").Options} options */
export async function firstOf(path, query, most, options) {
  /** @type {any[]} */
  const items = [];
  let cursor = null;
  do {
    const page = await get(path, { limit: PIECE, ...query, cursor }, options);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor && items.length < most);
  return { items, more: Boolean(cursor) };
}

/** All items, in pages as long as the API gives them. @param {string} path @param {Record<string, unknown>} query @param {import("../api.js").Options} options */
export const allOf = async (path, query, options) => (await firstOf(path, { limit: null, ...query }, Infinity, options)).items;
