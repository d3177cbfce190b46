// A noun is always a link that looks the same, and previews on hover and focus.
import { get } from "../api.js";
import { shortId } from "../format.js";
import { html } from "../ui.js";
import { nameOf } from "./names.js";
import { Text } from "./text.js";

const DELAY_MS = 350;
let timer = 0;
let isShown = false;

/** Show a card of what a link leads to, once the pointer or the focus rests on it. @param {string} kind @param {string} id @param {HTMLElement} element */
export function showPreview(kind, id, element) {
  clearTimeout(timer);
  if (!matchMedia("(hover: hover)").matches || kind === "secret") return;
  timer = setTimeout(async () => {
    const [{ preview }, run] = await Promise.all([
      import("./preview.js"), kind === "run" ? get(`/request/${encodeURIComponent(id)}`, {}, { quiet: true }).catch(() => null) : null,
    ]);
    if (kind === "run" && !run) return;
    if (element.isConnected && (element.matches(":hover") || element === document.activeElement)) {
      isShown = true;
      preview({ kind, id, run, box: element.getBoundingClientRect() });
    }
  }, DELAY_MS);
}

export async function hidePreview() {
  clearTimeout(timer);
  if (!isShown) return;
  isShown = false;
  (await import("./preview.js")).preview(null);
}

addEventListener("scroll", hidePreview, { passive: true, capture: true });
addEventListener("keydown", (event) => event.key === "Escape" && hidePreview());

/** @param {{kind: string, id: string, href: string, children?: unknown, mono?: boolean}} properties */
function Noun({ kind, id, href, children, mono }) {
  const show = (/** @type {Event} */ event) => showPreview(kind, id, /** @type {HTMLElement} */ (event.currentTarget));
  return html`<a class=${mono ? "noun mono" : "noun"} href=${href} onMouseEnter=${show} onFocus=${show}
    onMouseLeave=${hidePreview} onBlur=${hidePreview} onClick=${hidePreview}>${children}</a>`;
}

/** @param {{id: string, children?: unknown}} properties */
export const RunLink = ({ id, children }) =>
  html`<${Noun} kind="run" id=${id} href=${`/console/runs/${encodeURIComponent(id)}`} mono=${!children}>${children ?? shortId(id)}<//>`;

/** @param {{id: string | null | undefined}} properties */
export const WorkflowLink = ({ id }) =>
  id && html`<${Noun} kind="workflow" id=${id} href=${`/console/workflows/${encodeURIComponent(id)}`}><${Text} of=${nameOf(id)} /><//>`;

/** @param {{name: string}} properties */
export const SecretLink = ({ name }) =>
  html`<${Noun} kind="secret" id=${name} href=${`/console/secrets#${encodeURIComponent(name)}`} mono><${Text} of=${name} /><//>`;
