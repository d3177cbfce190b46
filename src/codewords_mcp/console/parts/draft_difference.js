// The code of a draft beside what is live.
import { get } from "../api.js";
import { difference as words } from "../strings_drafts.js";
import { html } from "../ui.js";
import { Compare } from "./editor_compare.js";
import { changesOf, Problem, useResource } from "./resource.js";

/** @param {{state: any}} properties */
export function ToLive({ state }) {
  const { workflow } = state.open;
  const { data, error, reload } = useResource(async (signal) => (workflow ? get(`/workflows/${encodeURIComponent(workflow)}`, { code: 1 }, { signal }) : null), [workflow], changesOf("workflows"));
  if (!workflow) return html`<p class="dim">${words.fresh}</p>`;
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  if (data.code === state.text) return html`<p class="dim">${words.same}</p>`;
  return html`<section aria-label=${words.title}><${Compare} before=${data.code ?? ""} after=${state.text} names=${[words.live(data.version), words.draft]} /></section>`;
}
