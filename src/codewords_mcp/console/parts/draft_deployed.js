// What a deploy made, and where to go from there.
import { visible } from "../format.js";
import { href } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { review as words } from "../strings_drafts.js";
import { html } from "../ui.js";
import { Text, useTitle } from "./text.js";

/** @param {{deployment: any}} properties */
export function Deployed({ deployment }) {
  const path = `/console/workflows/${encodeURIComponent(deployment.service_id)}`;
  const name = visible(deployment.name);
  // What was read before the deploy is not told again.
  const notes = deployment.notes.filter((/** @type {any} */ note) => !["replay", "tests"].includes(note.id));
  useTitle(words.done(deployment.version, name));
  return html`<header class="head"><nav class="crumbs" aria-label=${PAGE_NAMES.drafts}><a href="/console/drafts">${PAGE_NAMES.drafts}</a></nav><h1>${words.done(deployment.version, name)}</h1></header>
    ${notes.length > 0 && html`<section class="card"><ul class="facts-list">${notes.map((/** @type {any} */ note) => html`<li><${Text} of=${note.message} /></li>`)}</ul></section>`}
    <div class="actions"><a class="button primary" href=${path}>${words.run}</a><a class="button" href=${href(path, { tab: "versions" })}>${words.open(name)}</a><a class="button" href=${href(path, { tab: "starts" })}>${words.starts}</a></div>`;
}
