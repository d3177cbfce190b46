// What a deploy changes beside the live version: code, permissions, behaviour and cost, in the order in which they are read.
import { review as words } from "../strings_drafts.js";
import { html } from "../ui.js";
import { Difference } from "./code.js";
import { Permissions } from "./reach.js";
import { Text } from "./text.js";

/**
 * @param {object} properties
 * @param {any} properties.changes  None for a new workflow.
 * @param {string[]} [properties.capabilities]  What a new workflow may do.
 * @param {string} [properties.level]  Of the headings; within something else they are no cards.
 */
export function Changes({ changes, capabilities = [], level = "h2" }) {
  const part = (/** @type {string} */ title, /** @type {unknown} */ content, /** @type {unknown} */ note = null) => html`<section class=${level === "h2" ? "card" : "below"}>
    <header><${level}>${title}<//>${note}</header>${content}</section>`;
  return [
    part(words.code, changes ? html`<${Difference} text=${changes.code} label=${words.code} />` : html`<p class="dim">${words.newCode}</p>`,
      changes && html`<span class="dim">${words.lines(changes.lines_added, changes.lines_removed)}</span>`),
    part(words.permissions, html`<${Reach} changes=${changes} capabilities=${capabilities} />`),
    part(words.behaviour, changes ? html`<${Lines} of=${changes.behaviour} />` : html`<p class="dim">${words.noRuns}</p>`),
    part(words.cost, html`<p><${Text} of=${changes?.cost || words.noCost} /></p>`),
  ];
}

/** @param {{of: string[]}} properties */
export const Lines = ({ of }) => html`<ul class="facts-list">${of.map((line) => html`<li><${Text} of=${line} /></li>`)}</ul>`;

/** @param {{changes: any, capabilities: string[]}} properties */
function Reach({ changes, capabilities }) {
  if (!changes) return capabilities.length ? html`<p class="dim">${words.fresh}</p><${Permissions} lines=${capabilities} />` : html`<p>${words.nothing}</p>`;
  if (!changes.permissions.length) return html`<p>${words.samePermissions}</p>`;
  return html`<ul class="changed-permissions mono">${changes.permissions.map((/** @type {string} */ line) => html`<li class=${line.startsWith("+") ? "added" : "removed"}><${Text} of=${line} /></li>`)}</ul>`;
}
