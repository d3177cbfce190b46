// The card of what waits for a person: one thing that a call asked for, or all of it.
import { dayTime } from "../format.js";
import { inbox as words } from "./strings.js";
import { html, useEffect } from "../ui.js";
import { Problem, useResource } from "../parts/resource.js";
import { now, Text } from "../parts/text.js";
import { get } from "./api.js";
import { show } from "./card.js";
import { state } from "./host.js";
import { inConsole, openLink } from "./links.js";

const POLL_MS = 2000;

/** @param {string} url */
const pathOf = (url) => (URL.canParse(url) ? new URL(url).pathname : "");

/** @param {{data: any}} properties */
function Items({ data }) {
  const { data: list, error, reload } = useResource(() => get("/waiting"), []);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && state.peek() === "on" && reload(), POLL_MS);
    return () => clearInterval(timer);
  }, []);

  const own = pathOf(data.url ?? "");
  const all = /** @type {any[]} */ (list?.items ?? data.items ?? []);
  const items = own ? all.filter((one) => one.path === own) : all;
  // Where the list can't be read, the call's own item is all that there is to show.
  if (error && !list) return own ? html`<ul class="rows offers"><${Item} item=${{ kind: data.name ? "secret" : "connect", title: data.name ?? data.app, path: own }} /></ul>` : html`<${Problem} error=${error} retry=${reload} />`;
  if (list && own && !items.length) return html`<p role="status">${words.done}</p>`;
  return html`<header class="head"><h1 class="headline">${items.length ? words.waits(items.length) : words.nothing}</h1></header>
    <ul class="rows offers">${items.map((item) => html`<${Item} key=${item.path} item=${item} />`)}</ul>`;
}

/** @param {{item: any}} properties */
const Item = ({ item }) => html`<li><span class="what"><strong><${Text} of=${item.title} /></strong>${item.expires_at && html`<span class="dim">${words.until(dayTime(item.expires_at, now.value))}</span>`}</span>
  <button class="primary" onClick=${() => openLink(inConsole(item.path))}>${words.act[item.kind] ?? words.act.consent}</button></li>`;

show("inbox-item", Items);
