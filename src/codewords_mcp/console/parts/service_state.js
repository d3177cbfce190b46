// Whether a service can be called, and what it needs for that.
import { services as words } from "../strings_explore.js";
import { html } from "../ui.js";
import { Text } from "./text.js";

/** @param {{service: any}} properties */
export function StateOf({ service }) {
  const lacking = service.credentials.filter((/** @type {any} */ one) => !one.present && (!one.without || one.essential));
  if (!service.credentials.length && service.ready) return html`<span class="tag good">${words.noAccount}</span>`;
  return html`<span class=${service.ready ? "tag good" : "tag unset"}>${service.ready ? words.ready : words.notReady}</span> ${lacking.map((/** @type {any} */ one) => html`<span class=${one.without ? "tag" : "tag unset"}>${words.needs} <${Text} of=${one.name} /></span> `)}`;
}
