// What has to be set before a workflow can run.
import { visible } from "../format.js";
import { workflow as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { useAction } from "./action.js";
import { enter, useNeeded } from "./needed_secrets.js";
import { Problem } from "./resource.js";

/** @param {{workflow: any}} properties */
export function Missing({ workflow }) {
  const { data } = useNeeded(workflow);
  const action = useAction();
  const unset = (data ?? []).filter((one) => one.required && !one.isSet);
  if (!unset.length) return null;
  return html`<section class="card attention"><p>${words.missing(unset.length)}</p><${Problem} error=${action.error} />
    <div class="actions">${unset.map((one) => html`<button disabled=${action.working} onClick=${() => action.run(() => enter(one))}>${words.enter(visible(one.name))}</button>`)}</div></section>`;
}
