// A small card that says what a link leads to.
import { duration } from "../format.js";
import { common } from "../strings.js";
import { html, render, signal, useLayoutEffect, useRef } from "../ui.js";
import { nameOf, workflows } from "./names.js";
import { Status } from "./status.js";
import { Text, When } from "./text.js";
import { elapsed } from "./run_facts.js";

/** @typedef {{kind: string, id: string, box: DOMRect, run?: any}} Shown */

const shown = signal(/** @type {Shown | null} */ (null));
const root = document.createElement("div");
document.body.append(root);
render(html`<${Preview} />`, root);

/** @param {Shown | null} preview */
export const preview = (preview) => (shown.value = preview);

function Preview() {
  const card = useRef(/** @type {HTMLElement | null} */ (null));
  const preview = shown.value;
  useLayoutEffect(() => {
    if (card.current && preview) place(card.current, preview.box);
  }, [preview]);
  return preview && html`<div class="preview" role="tooltip" ref=${card}>
    ${preview.kind === "run" ? html`<${Run} run=${preview.run} />` : html`<${Workflow} id=${preview.id} />`}</div>`;
}

/** @param {HTMLElement} card @param {DOMRect} box */
function place(card, box) {
  const below = box.bottom + 6 + card.offsetHeight < innerHeight;
  card.style.left = `${Math.max(8, Math.min(box.left, innerWidth - card.offsetWidth - 8))}px`;
  card.style.top = `${below ? box.bottom + 6 : box.top - card.offsetHeight - 6}px`;
}

/** @param {{run: any}} properties */
const Run = ({ run }) => html`
  <p><${Status} of=${run.status} /> <strong><${Text} of=${nameOf(run.serviceId)} /></strong></p>
  <p class="dim">${common.version(run.version ?? common.none)} · <${When} at=${run.createdAt} /> · ${duration(elapsed(run))}</p>
  ${run.error && html`<p class="clip"><${Text} of=${run.error.message} /></p>`}`;

/** @param {{id: string}} properties */
function Workflow({ id }) {
  const workflow = workflows.value?.get(id);
  if (!workflow) return html`<p class="dim">${id}</p>`;
  return html`<p><strong><${Text} of=${workflow.name} /></strong> <span class="dim">${common.version(workflow.version)}</span></p>
    ${workflow.description && html`<p class="dim"><${Text} of=${workflow.description} /></p>`}`;
}
