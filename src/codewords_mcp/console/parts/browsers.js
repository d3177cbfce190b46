// The browsers that are signed in: which, since when, last used, and ending their sessions.
import { get, send } from "../api.js";
import { visible } from "../format.js";
import { sessions as words } from "../strings_members.js";
import { html } from "../ui.js";
import { useAction } from "./action.js";
import { nameOf } from "./names.js";
import { changesOf, Problem, useResource } from "./resource.js";
import { Text, When } from "./text.js";

/** @param {string} id */
const end = (id) => send("DELETE", `/sessions/${id}`).catch((error) => error.status !== 404 && Promise.reject(error));

export function Browsers() {
  const { data, error, reload } = useResource(async (signal) => (await get("/sessions", {}, { signal })).items, [], changesOf("sessions"));
  const action = useAction();
  const here = data?.find((/** @type {any} */ one) => one.current);
  const others = (data ?? []).filter((/** @type {any} */ one) => !one.current && one.member === here?.member);
  const endAll = (/** @type {any[]} */ sessions) => action.run(async () => {
    for (const one of sessions) await end(one.id);
    reload();
  });
  return html`<section class="card"><header><h2>${words.title}</h2>
      ${others.length > 1 && html`<button class="danger" disabled=${action.working} onClick=${() => endAll(others)}>${words.endOthers}</button>`}</header>
    <${Problem} error=${action.error ?? error} />
    <ul class="rows">${data?.map((/** @type {any} */ one) => html`<${Browser} key=${one.id} of=${one} name=${nameOfBrowser(one, here)} working=${action.working} onEnd=${() => endAll([one])} />`)}</ul>
    <p class="dim">${words.lead}</p></section>`;
}

/** @param {any} one @param {any} here  The session of this page. */
function nameOfBrowser(one, here) {
  const browser = one.browser || words.unknown;
  return one.member && one.member !== here?.member ? words.of(browser, visible(one.member)) : browser;
}

/** @param {{of: any, name: string, working: boolean, onEnd: () => void}} properties */
const Browser = ({ of: one, name, working, onEnd }) => html`<li>
  <span class="what"><span>${name}${one.current && html` <span class="tag">${words.here}</span>`}</span>
    <span class="dim">${words.began} <${When} at=${one.began_at} />, ${words.used} <${When} at=${one.used_at} /></span>
    ${one.workflows.length > 0 && html`<span class="dim">${words.opened} <${Text} of=${one.workflows.map(nameOf).join(", ")} /></span>`}</span>
  ${one.current ? html`<form method="post" action="/sign-out"><button>${words.signOut}</button></form>`
    : html`<button class="danger" disabled=${working} aria-label=${words.endOf(name)} onClick=${onEnd}>${words.end}</button>`}</li>`;
