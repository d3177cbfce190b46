// What a dry run held: the list, and sending exactly that.
import { get, post } from "../api.js";
import { go } from "../router.js";
import { writes as words } from "../strings_dialogs.js";
import { html, useState } from "../ui.js";
import { Consent, questionOr } from "./consent.js";
import { Problem, useResource } from "./resource.js";
import { Text } from "./text.js";

/** @param {{run: import("./run_facts.js").RunRecord, within?: boolean}} properties Within an item of the inbox, it has its heading already. */
export function Writes({ run, within }) {
  const { data, error } = useResource((signal) => get(`/runs/${run.id}/writes`, {}, { signal }), [run.id, run.status]);
  const [state, setState] = useState(/** @type {{working?: boolean, error?: any, question?: import("./consent.js").Question}} */ ({}));
  if (!data) return html`<${Problem} error=${error} />`;

  const apply = async (/** @type {string} */ confirm) => {
    setState({ working: true });
    try {
      go(`/console/runs/${(await post(`/runs/${run.id}/apply`, confirm ? { confirm } : {})).request_id}`);
    } catch (problem) {
      setState(questionOr(problem));
    }
  };
  return html`<section class=${within ? "" : "card"} aria-label=${words.title}>
    ${!within && html`<header><h2>${words.title}</h2></header>`}
    <p>${words.lead(data.writes.length)}</p>
    <ul class="mono held">${data.lines.map((/** @type {string} */ line) => html`<li><${Text} of=${line} /></li>`)}</ul>
    ${data.varies.length > 0 && html`<p class="dim"><${Text} of=${data.varies.join(" ")} /></p>`}
    ${data.problem && html`<p class="dim"><${Text} of=${data.problem} /></p>`}
    <${Problem} error=${state.error} />
    ${data.writes.length > 0 && !data.problem && html`<p><button class="primary" disabled=${state.working} onClick=${() => apply("")}>${words.apply(data.writes.length)}</button></p>`}
    ${state.question && html`<${Consent} question=${state.question} act=${words.send(data.writes.length)} onAgree=${() => apply(state.question?.confirm ?? "")} onClose=${() => setState({})} />`}
  </section>`;
}
