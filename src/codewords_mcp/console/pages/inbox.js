// The inbox: all that waits for a person, each opened where it is.
import { get } from "../api.js";
import { dayTime, exact, visible } from "../format.js";
import { address, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { home } from "../strings_lists.js";
import { inbox as words } from "../strings_pages.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { useAction } from "../parts/action.js";
import { Alerts, isOpen, loadAlerts } from "../parts/alerts.js";
import { connect } from "../parts/connections.js";
import { lazy } from "../parts/lazy.js";
import { RunLink } from "../parts/link.js";
import { nameOf } from "../parts/names.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { now, Text, useTitle, When } from "../parts/text.js";
import { waiting } from "../parts/waiting.js";

const Question = lazy(async () => (await import("../parts/question.js")).Question);
const Resume = lazy(async () => (await import("../parts/resume.js")).Resume);
const Writes = lazy(async () => (await import("../parts/writes.js")).Writes);
const DRY_RUNS = 10;

/** @param {AbortSignal} signal */
async function load(signal) {
  const [alerts, failed, dry, accounts] = await Promise.all([
    loadAlerts(signal),
    get("/runs", { status: "failed", limit: 100 }, { signal }),
    get("/runs", { mode: "dry_run", status: "succeeded", limit: DRY_RUNS }, { signal }),
    get("/connections", {}, { signal }).catch(() => ({ items: [] })),
  ]);
  const unknown = failed.items.filter((/** @type {any} */ run) => run.error?.code === "write_unknown");
  const [lists, asked] = await Promise.all([
    Promise.all(dry.items.map((/** @type {any} */ run) => get(`/runs/${run.id}/writes`, {}, { signal }).catch(() => null))),
    Promise.all(unknown.map((/** @type {any} */ run) => get(`/runs/${run.id}/resume`, {}, { signal }).catch(() => null))),
  ]);
  return {
    alerts: alerts.filter(({ kind }) => kind !== "connection_lost" || accounts.items.every((/** @type {any} */ account) => account.healthy)),
    unknown: unknown.filter((/** @type {any} */ _, /** @type {number} */ n) => asked[n]?.writes.length && !asked[n].resumed_by),
    held: dry.items.map((/** @type {any} */ run, /** @type {number} */ n) => ({ run, list: lists[n] })).filter((/** @type {any} */ { list }) => list?.writes.length && !list.problem),
    dead: accounts.items.filter((/** @type {any} */ account) => !account.healthy),
  };
}

export default function Inbox() {
  useTitle(PAGE_NAMES.inbox);
  const { data, error, reload } = useResource(load, [], changesOf("run", "inbox"));
  const [done, setDone] = useState(/** @type {import("../parts/question.js").Done | null} */ (null));
  if (!waiting.value || (!data && !error)) return null;

  const found = data ?? { alerts: [], unknown: [], held: [], dead: [] };
  const all = waiting.value.length + found.alerts.filter(isOpen).length + found.unknown.length + found.held.length + found.dead.length;
  const finish = (/** @type {import("../parts/question.js").Done} */ said) => {
    setDone(said);
    setQuery({ item: null });
    reload();
  };
  const ids = [...waiting.value.map(({ path }) => idOf(path)), ...[...found.unknown, ...found.held.map((/** @type {any} */ { run }) => run)].map(({ id }) => id)];
  const chosen = address.value.query.get("item");
  return html`
    <header class="head"><h1>${all ? home.needsYou(all) : home.nothingNeedsYou}</h1><p class="dim">${words.lead}</p></header>
    <${Problem} error=${error} retry=${reload} />
    ${done && html`<${Said} done=${done} />`}
    ${chosen && data && !ids.includes(chosen) && html`<section class="card attention" role="status"><p>${words.gone}</p><div class="actions"><a class="button" href="/console/inbox">${words.all}</a></div></section>`}
    ${all === 0 && html`<div class="card empty"><p>${words.empty}</p><a class="button" href="/console/runs">${words.emptyAction}</a></div>`}
    <${Group} title=${words.questions} items=${waiting.value.map((page) => html`<${Item} key=${page.path} id=${idOf(page.path)} name=${page.title} act=${words.readAnswer} href=${["approval", "consent"].includes(page.kind) ? "" : page.path} leads=${words.act[page.kind]}
      about=${html`<span class="dim">${words.asked} <${When} at=${page.created_at} /> · <span title=${exact(page.expires_at)}>${words.until(dayTime(page.expires_at, now.peek()))}</span></span>`}><${Question} token=${idOf(page.path)} onDone=${finish} /><//>`)} />
    <${Alerts} items=${found.alerts} reload=${reload} />
    <${Group} title=${words.unknown} items=${found.unknown.map((/** @type {any} */ run) => html`<${Item} key=${run.id} id=${run.id} name=${nameOf(run.serviceId)} act=${words.askedWrite}
      about=${html`<span class="dim"><${RunLink} id=${run.id} /> <${Text} of=${run.error.message} /></span>`}><${Resume} run=${run} onDone=${finish} /><//>`)} />
    <${Group} title=${words.held} items=${found.held.map((/** @type {any} */ { run, list }) => html`<${Item} key=${run.id} id=${run.id} name=${nameOf(run.serviceId)} act=${words.review}
      about=${html`<span class="dim"><${RunLink} id=${run.id} /> ${words.heldLine(list.writes.length)} · <${When} at=${run.createdAt} /></span>`}><${Writes} run=${run} within /><//>`)} />
    <${Group} title=${words.dead} items=${found.dead.map((/** @type {any} */ account) => html`<${Dead} key=${account.id} account=${account} />`)} />`;
}

/** What an item is called in the address: the end of its page's. @param {string} path */
const idOf = (path) => path.slice(path.lastIndexOf("/") + 1);

/** @param {{title: string, items: unknown[]}} properties */
const Group = ({ title, items }) => items.length > 0 && html`<section class="card"><header><h2>${title}</h2></header><ul class="rows offers">${items}</ul></section>`;

/** One that waits: what it is, and where it is opened. What is typed or connected has a page of its own. @param {any} properties */
function Item({ id, name, about, act, href, leads, children }) {
  const open = !href && address.value.query.get("item") === id;
  const button = useRef(/** @type {HTMLElement | null} */ (null));
  const close = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape" || !open || document.querySelector("dialog[open]")) return;
    setQuery({ item: null });
    button.current?.focus();
  };
  return html`<li class=${open ? "open" : ""} onKeyDown=${close}>
    <span class="what"><strong><${Text} of=${name} /></strong>${about}</span>
    ${href ? html`<a class="button primary" href=${href}>${leads}</a>`
      : html`<button ref=${button} class=${open ? "" : "primary"} aria-expanded=${open} aria-label=${words.actOf(open ? words.close : act, visible(name))} onClick=${() => setQuery({ item: open ? null : id }, { push: true })}>${open ? words.close : act}</button>`}
    ${open && html`<div class="opened">${children}</div>`}</li>`;
}

/** What an answer led to; the focus goes here, since what was answered is gone. @param {{done: import("../parts/question.js").Done}} properties */
function Said({ done }) {
  const element = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => element.current?.focus(), [done]);
  return html`<section class="card attention" role="status" tabindex="-1" ref=${element}><p><${Text} of=${done.message} /></p>
    ${done.serviceId && html`<div class="actions"><a class="button" href=${`/console/workflows/${encodeURIComponent(done.serviceId)}`}>${words.toWorkflow(visible(nameOf(done.serviceId)))}</a></div>`}
    ${done.runId && html`<div class="actions"><a class="button" href=${`/console/runs/${encodeURIComponent(done.runId)}`}>${words.toRun}</a></div>`}</section>`;
}

/** @param {{account: any}} properties */
function Dead({ account }) {
  const action = useAction();
  const [said, setSaid] = useState(/** @type {any} */ (null));
  return html`<li><span class="what"><strong><${Text} of=${account.app} /></strong><span class="dim">${words.since(visible(account.name || account.id))}</span><${Problem} error=${action.error ?? said} /></span>
    <button class="primary" disabled=${action.working} onClick=${() => action.run(async () => setSaid(await connect(account.app)))}>${words.reconnect(visible(account.app))}</button></li>`;
}
