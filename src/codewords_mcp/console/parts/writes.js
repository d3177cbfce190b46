// What a dry run held: the list, and sending exactly that.
import { ApiError, get, post } from "../api.js";
import { go } from "../router.js";
import { writes as words } from "../strings_dialogs.js";
import { html, useState } from "../ui.js";
import { Problem, useResource } from "./resource.js";
import { Text } from "./text.js";

/** @param {{run: import("./run_facts.js").RunRecord}} properties */
export function Writes({ run }) {
  const { data, error } = useResource((signal) => get(`/runs/${run.id}/writes`, {}, { signal }), [run.id, run.status]);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  if (!data) return html`<${Problem} error=${error} />`;

  const apply = async () => {
    try {
      go(`/console/runs/${(await post(`/runs/${run.id}/apply`, {})).request_id}`);
    } catch (failed) {
      const page = failed instanceof ApiError && failed.code === "consent_needed" && consentPage(failed);
      if (page) location.assign(page);
      else setProblem(failed);
    }
  };
  return html`<section class="card" aria-label=${words.title}>
    <header><h2>${words.title}</h2></header>
    <p>${words.lead(data.writes.length)}</p>
    <ul class="mono held">${data.lines.map((/** @type {string} */ line) => html`<li><${Text} of=${line} /></li>`)}</ul>
    ${data.varies.length > 0 && html`<p class="dim"><${Text} of=${data.varies.join(" ")} /></p>`}
    ${data.problem && html`<p class="dim"><${Text} of=${data.problem} /></p>`}
    <${Problem} error=${problem} />
    ${data.writes.length > 0 && !data.problem && html`<p><button class="primary" onClick=${apply}>${words.apply(data.writes.length)}</button></p>`}
  </section>`;
}

/** The page on which the runtime asks; its path only, whatever host the answer names. @param {ApiError} error */
function consentPage(error) {
  const url = error.body?.error?.remedy?.arguments?.url ?? error.body?.url;
  return typeof url === "string" ? new URL(url, location.href).pathname : "";
}
