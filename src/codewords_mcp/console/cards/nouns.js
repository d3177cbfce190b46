// Links to what a card names, without previews.
import { shortId } from "../format.js";
import { html } from "../ui.js";
import { Text } from "../parts/text.js";
import { nameOf } from "./names.js";

/** @param {{id: string, children?: unknown}} properties */
export const RunLink = ({ id, children }) => html`<a class=${children ? "noun" : "noun mono"} href=${`/console/runs/${encodeURIComponent(id)}`}>${children ?? shortId(id)}</a>`;

/** @param {{id: string | null | undefined}} properties */
export const WorkflowLink = ({ id }) => id && html`<a class="noun" href=${`/console/workflows/${encodeURIComponent(id)}`}><${Text} of=${nameOf(id)} /></a>`;

/** @param {{name: string}} properties */
export const SecretLink = ({ name }) => html`<a class="noun mono" href=${`/console/secrets#${encodeURIComponent(name)}`}><${Text} of=${name} /></a>`;
