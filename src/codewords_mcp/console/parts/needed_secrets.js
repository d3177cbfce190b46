// The secrets and settings of a workflow, and which of them have a value.
import { post } from "../api.js";
import { visible } from "../format.js";
import { workflow as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { openPage, useAction } from "./action.js";
import { allOf } from "./pages.js";
import { changesOf, Problem, useResource } from "./resource.js";

/** @typedef {{name: string, isSet: boolean, required: boolean, byDefault: string | null, hosts: string[]}} Needed */

/** @param {any} workflow @param {AbortSignal} signal @returns {Promise<Needed[]>} */
async function load(workflow, signal) {
  const known = new Set((await allOf("/secrets", {}, { signal })).map((/** @type {any} */ one) => one.name));
  const hosts = Object.fromEntries((workflow.manifest?.secrets ?? []).map((/** @type {any} */ one) => [one.name, one.hosts ?? []]));
  return workflow.env.filter((/** @type {any} */ one) => !one.provided).map((/** @type {any} */ one) => ({
    name: one.name, isSet: known.has(one.name), required: one.required, byDefault: one.default, hosts: hosts[one.name] ?? [],
  }));
}

/** @param {any} workflow */
export const useNeeded = (workflow) => useResource((signal) => load(workflow, signal), [workflow.service_id, workflow.version], changesOf("secrets"));

/** Open the page on which the value is typed. @param {Pick<Needed, "name" | "hosts">} needed */
export async function enter({ name, hosts }) {
  openPage((await post(`/secrets/${encodeURIComponent(name)}/entry`, { hosts })).url);
}

/** What has to be set before a workflow can run. @param {{workflow: any}} properties */
export function Missing({ workflow }) {
  const { data } = useNeeded(workflow);
  const action = useAction();
  const unset = (data ?? []).filter((one) => one.required && !one.isSet);
  if (!unset.length) return null;
  return html`<section class="card attention"><p>${words.missing(unset.length)}</p><${Problem} error=${action.error} />
    <div class="actions">${unset.map((one) => html`<button disabled=${action.working} onClick=${() => action.run(() => enter(one))}>${words.enter(visible(one.name))}</button>`)}</div></section>`;
}
