// The names of workflows, by their ids: one list for all pages.
import { get, onChange } from "../api.js";
import { nameOfId } from "../format.js";
import { signal } from "../ui.js";

/** @typedef {{service_id: string, name: string, version: number, description: string, url: string, updated_at: string, services: string[], apps: string[]}} Workflow */

/** Names that a page keeps, at the most; those beyond are made from ids. */
export const MOST_NAMED = 1000;

/** Workflows by id; null until they are loaded. */
export const workflows = signal(/** @type {Map<string, Workflow> | null} */ (null));

/** The name of a workflow. @param {string | null | undefined} id */
export const nameOf = (id) => (id ? workflows.value?.get(id)?.name ?? nameOfId(id) : "");

/** The id of the workflow of a name. @param {string} name */
export const idOf = (name) => [...(workflows.value?.values() ?? [])].find((workflow) => workflow.name === name)?.service_id;

/** The workflows that use a service or an app. @param {"services" | "apps"} kind @param {string} name */
export const usersOf = (kind, name) => [...(workflows.value?.values() ?? [])].filter((workflow) => workflow[kind].includes(name));

let loading = false;

export async function loadWorkflows() {
  if (loading) return;
  loading = true;
  try {
    const found = new Map();
    let cursor = null;
    do {
      const page = await get("/workflows", { limit: 100, cursor }, { quiet: true });
      for (const workflow of page.items) found.set(workflow.service_id, workflow);
      cursor = page.next_cursor;
    } while (cursor && found.size < MOST_NAMED);
    workflows.value = found;
  } catch {
    workflows.value ??= new Map();
  } finally {
    loading = false;
  }
}

loadWorkflows();
onChange(({ name }) => {
  if (name === "workflows" || name === "again") loadWorkflows();
});
