// Text from outside, times, and what is copied.
import { exact, pieces, relative } from "../format.js";
import { common } from "../strings.js";
import { html, signal, useEffect, useState } from "../ui.js";
import { Icon } from "./icons.js";

/** Text from outside: characters that deceive are shown as their codes. @param {{of: unknown}} properties */
export function Text({ of }) {
  const parts = pieces(String(of ?? ""));
  if (parts.length === 1 && typeof parts[0] === "string") return parts[0];
  return parts.map((part) => (typeof part === "string" ? part : html`<span class="mark" title=${common.character(part.mark)}>${part.mark}</span>`));
}

/** Code between backticks, or a line of what was typed with marks below the part at fault. */
const CODE = /`([^`\n]+)`|\n([^\n]+\n *\^+)/;

/** Words of the runtime to a person: lines stay, and code looks like code. @param {{of: unknown}} properties */
export const Prose = ({ of }) => html`<span class="prose">${String(of ?? "").split(CODE).map((part, n) => {
  const text = html`<${Text} of=${part} />`;
  return part && [text, html`<code>${text}</code>`, html`<pre>${text}</pre>`][n % 3];
})}</span>`;

/** The time now, for whatever is shown relative to it. */
export const now = signal(Date.now());
setInterval(() => {
  if (document.visibilityState === "visible") now.value = Date.now();
}, 1000);

/** A time relative to now, with the exact one on hover. @param {{at: string | null | undefined}} properties */
export const When = ({ at }) => (at ? html`<time datetime=${at} title=${exact(at)}>${relative(at, now.value)}</time>` : common.none);

/** A button that copies a text. @param {{text: string | (() => string), label?: string}} properties */
export function Copy({ text, label = common.copy }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 1500);
    return () => clearTimeout(timer);
  }, [done]);

  const copy = async () => {
    await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
    setDone(true);
  };
  return html`<button class="plain copy" onClick=${copy} aria-label=${done ? common.copied : label} title=${done ? common.copied : label}><${Icon} name=${done ? "check" : "copy"} /></button>`;
}

/** The title of the browser's tab. @param {string} title */
export function useTitle(title) {
  useEffect(() => {
    document.title = title ? `${title} · codewords` : "codewords";
  }, [title]);
}
