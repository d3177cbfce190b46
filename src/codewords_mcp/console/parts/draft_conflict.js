// What to do where somebody else stored another text meanwhile: both beside each other, and the person chooses.
import { html, useState } from "../ui.js";
import { conflict as words } from "../strings_drafts.js";
import { go } from "../router.js";
import { Compare } from "./editor_compare.js";

/** @typedef {import("./draft_begin.js").Open} Open */

/** @param {{state: any}} properties */
export function Conflict({ state }) {
  if (state.other === "gone") return html`<${Gone} state=${state} />`;
  return state.other && html`<${Choose} key=${state.other.draft?.revision ?? state.other.base} state=${state} other=${state.other} />`;
}

/** @param {{state: any, other: Open}} properties */
function Choose({ state, other }) {
  const [mine, setMine] = useState(state.text);
  const revision = other.draft?.revision ?? 0;
  const title = other.draft ? words.draft(revision) : words.live(other.base ?? 0);
  return html`<section class="card attention" role="alert" aria-label=${title}>
    <p><strong>${title}</strong> ${words.lead}</p>
    <${Compare} before=${other.stored} after=${state.text} names=${[other.draft ? words.theirs(revision) : words.theirsLive(other.base ?? 0), words.mine]} onChange=${setMine} onSave=${() => state.save(other, mine)} />
    <div class="actions"><button class="primary" disabled=${state.saving} onClick=${() => state.save(other, mine)}>${other.draft ? words.save(revision + 1) : words.begin}</button>
      <button class="danger" disabled=${state.saving} onClick=${() => state.take(other)}>${words.take}</button></div></section>`;
}

/** @param {{state: any}} properties */
function Gone({ state }) {
  const leave = () => {
    state.close();
    go("/console/drafts");
  };
  const anew = () => state.save({ ...state.open, draft: null, workflow: null, base: null });
  return html`<section class="card attention" role="alert"><p>${words.gone}</p>
    <div class="actions"><button class="primary" disabled=${state.saving} onClick=${anew}>${words.anew}</button><button onClick=${leave}>${words.leave}</button></div></section>`;
}
