// The status of a run: a shape and a word, never a colour alone.
import { html } from "../ui.js";
import { Icon } from "./icons.js";
import { statusWord } from "./run_facts.js";

/** @type {Record<string, string>} */
const SHAPES = {
  succeeded: "check", failed: "cross", timed_out: "clock", interrupted: "bolt", cancelled: "dash",
  running: "play", starting: "play", queued: "clock", provisioned: "clock",
};

/** @param {{of: string, word?: boolean}} properties */
export const Status = ({ of, word = true }) => html`<span class=${`status ${of}`} title=${word ? undefined : statusWord(of)}>
  <span class="shape"><${Icon} name=${SHAPES[of] ?? "dash"} /></span>${word ? statusWord(of) : html`<span class="hidden">${statusWord(of)}</span>`}</span>`;
