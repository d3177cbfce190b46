// Deleting a workflow: the question says what goes with it.
import { call } from "../api.js";
import { visible } from "../format.js";
import { workflow as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { Confirm } from "./confirm.js";
import { allOf } from "./pages.js";
import { Problem, useResource } from "./resource.js";

/** @param {string} id @param {AbortSignal} signal */
async function load(id, signal) {
  const [schedules, hooks] = await Promise.all([allOf("/schedules", { service_id: id }, { signal }), allOf("/webhooks", { service_id: id }, { signal })]);
  return { schedules: schedules.length, hooks: hooks.length };
}

/** @param {{workflow: any, onClose: () => void, onRemoved: () => void}} properties */
export function Removal({ workflow, onClose, onRemoved }) {
  const id = workflow.service_id;
  const { data, error } = useResource((signal) => load(id, signal), [id]);
  if (!data) return html`<${Problem} error=${error} />`;

  // What the runtime would ask is asked here, with what goes counted: agreeing to it is agreeing to that.
  const remove = async () => {
    await call("DELETE", `/workflows/${encodeURIComponent(id)}`, { body: { allow: true } });
    onRemoved();
  };
  const name = visible(workflow.name);
  return html`<${Confirm} title=${words.removeTitle(name)} lead=${words.removeLead(workflow.versions.length, data.schedules, data.hooks)} action=${words.removeButton(name)} keep=${words.keep} act=${remove} onClose=${onClose} />`;
}
