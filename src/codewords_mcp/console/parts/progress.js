// How far something that takes a while has come.
import { html } from "../ui.js";
import { Text } from "./text.js";

/** @param {{of: {done: number, total: number, message: string} | null, label: string}} properties */
export const Progress = ({ of, label }) => html`<div class="working" role="status">
  <progress max=${of?.total || 1} value=${of ? of.done : undefined} aria-label=${label}></progress>
  <span class="dim">${of?.message ? html`<${Text} of=${of.message} />` : `${label} …`}</span>
</div>`;
