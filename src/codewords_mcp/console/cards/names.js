// The names of workflows in a card: made of their ids, or as a result had them.
import { nameOfId } from "../format.js";
import { signal } from "../ui.js";

export const workflows = signal(/** @type {Map<string, {name: string}> | null} */ (null));

/** Learn the name of a workflow. @param {string} id @param {string} name */
export const learn = (id, name) => (workflows.value = new Map(workflows.peek() ?? []).set(id, { name }));

/** @param {string | null | undefined} id */
export const nameOf = (id) => (id ? workflows.value?.get(id)?.name ?? nameOfId(id) : "");
