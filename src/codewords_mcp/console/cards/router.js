// What stands for the console's addresses in a card, which has none: what is selected is kept in memory.
import { signal } from "../ui.js";
import { inConsole, openLink } from "./links.js";

/** The run that the card shows in place of its own subject. */
export const shownRun = signal("");

export const address = signal({ path: "/", query: new URLSearchParams() });

/** @param {string} path @param {Record<string, unknown>} [query] */
export function href(path, query = {}) {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value).map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** Show a run in the card; any other page in the console. @param {string} target */
export function go(target) {
  const [, run] = /^\/console\/runs\/([^/?]+)$/.exec(target) ?? [];
  if (run) shownRun.value = decodeURIComponent(run);
  else openLink(inConsole(target));
}

/** @param {Record<string, unknown>} changes */
export function setQuery(changes) {
  const query = new URLSearchParams(address.peek().query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(name);
    else query.set(name, String(value));
  }
  address.value = { path: "/", query };
}
