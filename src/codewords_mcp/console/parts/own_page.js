// The workflow's own page and its API's documentation, on an origin of their own in a new tab.
import { post } from "../api.js";
import { visible } from "../format.js";
import { address } from "../router.js";
import { ownPage as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { useAction } from "./action.js";
import { Problem } from "./resource.js";

/** Ask for a one-time address and open it. @param {string} id @param {string} path */
async function open(id, path) {
  const { url } = await post(`/workflows/${encodeURIComponent(id)}/page`, { path });
  // The page there opens at once for a link of the console, which says so with its origin and no more.
  Object.assign(document.createElement("a"), { href: url, target: "_blank", rel: "noopener", referrerPolicy: "origin" }).click();
}

/** The route that answers with a page, "/" before others. @param {any[]} routes */
function pageOf(routes) {
  const pages = routes.filter((route) => route.html && route.method === "GET" && !route.path.includes("{"));
  return (pages.find((route) => route.path === "/") ?? pages[0])?.path;
}

/** @param {{workflow: any}} properties */
export function OwnPage({ workflow }) {
  const action = useAction();
  const led = address.value.query.get("page");
  const path = led ?? pageOf(workflow.routes);
  const go = (/** @type {string} */ to) => action.run(() => open(workflow.service_id, to));
  return html`${(path || workflow.docs) && html`<div class="actions">
      ${path && html`<button class=${led ? "primary" : ""} disabled=${action.working} onClick=${() => go(path)}>${words.open}</button>`}
      ${workflow.docs && html`<button disabled=${action.working} onClick=${() => go(workflow.docs)}>${words.docs}</button>`}</div>`}
    ${led && html`<p class="dim">${words.led(visible(led))}</p>`}
    <${Problem} error=${action.error} />`;
}
