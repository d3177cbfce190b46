// Deleting a workflow: the question says what goes with it.
import { call, get } from "../api.js";
import { visible } from "../format.js";
import { workflow as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { Confirm } from "./confirm.js";
import { Problem, useResource } from "./resource.js";

/** @param {{workflow: any, onClose: () => void, onRemoved: () => void}} properties */
export function Removal({ workflow, onClose, onRemoved }) {
  const path = `/workflows/${encodeURIComponent(workflow.service_id)}`;
  const { data, error } = useResource((signal) => get(`${path}/deletion`, {}, { signal }), [path]);
  if (!data) return html`<${Problem} error=${error} />`;

  // What the runtime would ask is asked here, with what goes counted: agreeing to it is agreeing to that.
  const remove = async () => {
    await call("DELETE", path, { body: { allow: true } });
    onRemoved();
  };
  const name = visible(workflow.name);
  return html`<${Confirm} title=${words.removeTitle(name)} lead=${words.removeLead(data)} action=${words.removeButton(name)} keep=${words.keep} act=${remove} onClose=${onClose} />`;
}
