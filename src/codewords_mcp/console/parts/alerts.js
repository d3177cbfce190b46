// Alerts: what failed while nobody waited for it, each with its run.
import { get, post } from "../api.js";
import { visible } from "../format.js";
import { alerts as words } from "../strings_alerts.js";
import { html } from "../ui.js";
import { useAction } from "./action.js";
import { Problem } from "./resource.js";
import { Text, When } from "./text.js";

/** @typedef {{id: string, kind: string, status: string, title: string, message: string, count: number, path: string, run_id: string | null, last_at: string}} Alert */

/** The alerts that are not over. @param {AbortSignal} signal @returns {Promise<Alert[]>} */
export const loadAlerts = async (signal) => (await get("/alerts", { limit: 100 }, { signal })).items;

/** Whether nobody said that it is known. @param {Alert} alert */
export const isOpen = ({ status }) => status === "open";

/** @param {{items: Alert[], reload: () => void, heading?: unknown}} properties */
export const Alerts = ({ items, reload, heading }) => items.length > 0 && html`<section class="card">
  <header><h2>${words.title}</h2>${heading}</header>
  <ul class="rows offers">${items.map((alert) => html`<${Row} key=${alert.id} alert=${alert} reload=${reload} />`)}</ul>
</section>`;

/** @param {{alert: Alert, reload: () => void}} properties */
function Row({ alert, reload }) {
  const action = useAction();
  const title = visible(alert.title);
  const open = alert.run_id ? words.open : words.openOther;
  const answer = (/** @type {string} */ how) => action.run(async () => {
    await post(`/alerts/${alert.id}/${how}`, {});
    reload();
  });
  return html`<li>
    <span class="what"><strong><${Text} of=${alert.title} /></strong>
      <span class="dim"><${Text} of=${alert.message} /> · ${words.times(alert.count)} <${When} at=${alert.last_at} />${alert.status === "acknowledged" && ` · ${words.known}`}</span>
      <${Problem} error=${action.error} /></span>
    <span class="actions">
      <a class="button" href=${alert.path} aria-label=${words.openOf(open, title)}>${open}</a>
      ${isOpen(alert) && html`<button disabled=${action.working} aria-label=${words.acknowledgeOf(title)} onClick=${() => answer("acknowledge")}>${words.acknowledge}</button>`}
      <button disabled=${action.working} aria-label=${words.dismissOf(title)} onClick=${() => answer("dismiss")}>${words.dismiss}</button>
    </span></li>`;
}
