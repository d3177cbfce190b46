// One line of a log, whole.
import { exact } from "../format.js";
import { log as words } from "../strings.js";
import { html } from "../ui.js";
import { Copy, Text } from "./text.js";

/** @param {{line: import("./log_store.js").Line}} properties */
export function Whole({ line }) {
  const copied = () => (line.fields ? JSON.stringify({ event: line.text, level: line.level, ...line.fields }) : line.text);
  return html`<div class="line-whole" aria-label=${words.line} role="region">
    <div class="facts"><span>${exact(line.at)}</span><span>${line.stream}</span>${line.level && html`<span>${line.level}</span>`}<${Copy} text=${copied} /></div>
    <pre tabindex="0"><${Text} of=${line.text} /></pre>
    ${line.fields && html`<dl>${Object.entries(line.fields).map(([name, value]) => html`<dt><${Text} of=${name} /></dt><dd><${Text} of=${typeof value === "string" ? value : JSON.stringify(value)} /></dd>`)}</dl>`}
  </div>`;
}
