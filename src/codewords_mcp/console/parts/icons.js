// Small drawings, in the colour of the text around them.
import { html } from "../ui.js";

/** @type {Record<string, string>} */
const PATHS = {
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.5-1.5L14 14",
  check: "m3.5 8.5 3 3 6-7",
  cross: "m4.5 4.5 7 7m0-7-7 7",
  clock: "M8 4v4l2.5 2M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12Z",
  play: "m5.5 3.5 7 4.5-7 4.5Z",
  dash: "M4 8h8",
  bolt: "M9 2 4 9h4l-1 5 5-7H8Z",
  copy: "M5.5 5.5h7v8h-7ZM3.5 10.5v-8h7",
  chevron: "m6 4 4 4-4 4",
  again: "M13 8a5 5 0 1 1-1.5-3.5L13 6m0-3.5V6H9.500",
  down: "M8 3v10m-4-4 4 4 4-4",
};

/** @param {{name: string}} properties */
export const Icon = ({ name }) => html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
