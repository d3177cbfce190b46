// Why a run failed, in a card.
import { failure as words } from "../strings.js";
import { html } from "../ui.js";
import { Around } from "../parts/failure.js";
import { Text } from "../parts/text.js";

/** @param {{run: any, found: any}} properties */
export function Reason({ run, found }) {
  const diagnosis = found?.diagnosis;
  const fix = diagnosis?.fix || run.error?.hint;
  return html`<section class="card failure" aria-label=${words.title}>
    <p class="error"><${Text} of=${diagnosis?.error ?? run.error?.message ?? ""} /></p>
    ${diagnosis?.around && html`<${Around} text=${diagnosis.around} />`}
    ${fix && html`<p><strong>${words.fix}.</strong> <${Text} of=${fix} /></p>`}
    ${found?.refused?.length > 0 && html`<h3>${words.refused}</h3><ul class="mono">${found.refused.map((/** @type {string} */ line) => html`<li><${Text} of=${line} /></li>`)}</ul>`}</section>`;
}
