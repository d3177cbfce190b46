// The inbox: all that waits for a person.
import { get, post } from "../api.js";
import { dayTime, exact, visible } from "../format.js";
import { failure, PAGE_NAMES } from "../strings.js";
import { home } from "../strings_lists.js";
import { inbox as words } from "../strings_pages.js";
import { html } from "../ui.js";
import { openPage, useAction } from "../parts/action.js";
import { RunLink, WorkflowLink } from "../parts/link.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { now, Text, useTitle, When } from "../parts/text.js";
import { waiting } from "../parts/waiting.js";

const DRY_RUNS = 10;

/** @param {AbortSignal} signal */
async function load(signal) {
  const [failed, dry, accounts] = await Promise.all([
    get("/runs", { status: "failed", limit: 100 }, { signal }),
    get("/runs", { mode: "dry_run", status: "succeeded", limit: DRY_RUNS }, { signal }),
    get("/connections", {}, { signal }).catch(() => ({ items: [] })),
  ]);
  const lists = await Promise.all(dry.items.map((/** @type {any} */ run) => get(`/runs/${run.id}/writes`, {}, { signal }).catch(() => null)));
  return {
    unknown: failed.items.filter((/** @type {any} */ run) => run.error?.code === "write_unknown"),
    held: dry.items.map((/** @type {any} */ run, /** @type {number} */ n) => ({ run, list: lists[n] })).filter((/** @type {any} */ { list }) => list?.writes.length && !list.problem),
    dead: accounts.items.filter((/** @type {any} */ account) => !account.healthy),
  };
}

export default function Inbox() {
  useTitle(PAGE_NAMES.inbox);
  const { data, error, reload } = useResource(load, [], changesOf("run", "inbox"));
  const action = useAction();
  if (!waiting.value || (!data && !error)) return null;

  const found = data ?? { unknown: [], held: [], dead: [] };
  const all = waiting.value.length + found.unknown.length + found.held.length + found.dead.length;
  const answer = (/** @type {any} */ run, /** @type {boolean} */ sent) => action.run(async () => {
    await post(`/runs/${run.id}/resume`, { sent });
    reload();
  });
  const reconnect = (/** @type {any} */ account) => action.run(async () => {
    const { url } = await post(`/integrations/${encodeURIComponent(account.app)}/connect`, {});
    if (url) openPage(url);
  });
  return html`
    <header class="head"><h1>${all ? home.needsYou(all) : home.nothingNeedsYou}</h1><p class="dim">${words.lead}</p></header>
    <${Problem} error=${error ?? action.error} retry=${error && reload} />
    ${all === 0 && html`<div class="card empty"><p>${words.empty}</p><a class="button" href="/console/runs">${words.emptyAction}</a></div>`}
    <${Group} title=${words.questions} items=${waiting.value.map((page) => html`<li>
      <span class="what"><strong><${Text} of=${page.title} /></strong><span class="dim">${words.asked} <${When} at=${page.created_at} /> · <span title=${exact(page.expires_at)}>${words.until(dayTime(page.expires_at, now.peek()))}</span></span></span>
      <a class="button primary" href=${page.path}>${words.act[page.kind] ?? words.act.consent}</a></li>`)} />
    <${Group} title=${words.unknown} items=${found.unknown.map((/** @type {any} */ run) => html`<li>
      <span class="what"><span><${RunLink} id=${run.id} /> <${WorkflowLink} id=${run.serviceId} /></span><span class="dim"><${Text} of=${run.error.message} /></span></span>
      <span class="actions"><button disabled=${action.working} onClick=${() => answer(run, true)}>${failure.sent}</button><button disabled=${action.working} onClick=${() => answer(run, false)}>${failure.notSent}</button></span></li>`)} />
    <${Group} title=${words.held} items=${found.held.map((/** @type {any} */ { run, list }) => html`<li>
      <span class="what"><span><${WorkflowLink} id=${run.serviceId} /> <span class="dim">${words.heldLine(list.writes.length)} · <${When} at=${run.createdAt} /></span></span>
        <span class="dim mono clip"><${Text} of=${list.lines[0] ?? ""} /></span></span>
      <a class="button" href=${`/console/runs/${run.id}`}>${words.review}</a></li>`)} />
    <${Group} title=${words.dead} items=${found.dead.map((/** @type {any} */ account) => html`<li>
      <span class="what"><strong><${Text} of=${account.app} /></strong><span class="dim">${words.since(visible(account.name || account.id))}</span></span>
      <button class="primary" disabled=${action.working} onClick=${() => reconnect(account)}>${words.reconnect(visible(account.app))}</button></li>`)} />`;
}

/** @param {{title: string, items: unknown[]}} properties */
const Group = ({ title, items }) => items.length > 0 && html`<section class="card"><header><h2>${title}</h2></header><ul class="rows offers">${items}</ul></section>`;
