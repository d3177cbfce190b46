// The difference of a draft to the live version, as the server draws it: nothing in it is out of sight.
import { get } from "../api.js";
import { difference as words } from "../strings_drafts.js";
import { html } from "../ui.js";
import { Difference } from "./code.js";
import { changesOf, Problem, useResource } from "./resource.js";

/** @param {{state: any}} properties */
export function ToLive({ state }) {
  const { workflow, draft } = state.open;
  const { data, error, reload } = useResource(async (signal) => {
    if (!workflow || !draft) return null;
    const { version } = await get(`/workflows/${encodeURIComponent(workflow)}`, {}, { signal });
    return { version, ...await get(`/drafts/${draft.draft_id}/diff`, { against: version }, { signal }) };
  }, [workflow, draft?.draft_id, draft?.revision], changesOf("workflows"));
  if (!workflow) return html`<p class="dim">${words.fresh}</p>`;
  if (state.changed) return html`<section class="card attention"><p>${words.changed}</p><button class="primary" disabled=${state.saving} onClick=${() => state.save()}>${words.save}</button></section>`;
  if (!draft) return html`<p class="dim">${words.same}</p>`;
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  if (!data.diff) return html`<p class="dim">${words.same}</p>`;
  return html`<section class="card"><header><h2>${words.title}</h2><span class="dim">${words.live(data.version)}</span></header><${Difference} text=${data.diff} label=${words.title} /></section>`;
}
