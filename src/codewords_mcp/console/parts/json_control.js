// A field for JSON, which says where it is none.
import { html, useState } from "../ui.js";
import { Broken, parse } from "./check.js";
import { same } from "./schema.js";

/** @param {any} value */
const textOf = (value) => (value === undefined ? "" : value instanceof Broken ? value.text : JSON.stringify(value, null, 2));

/** @param {{id: string, value: any, onChange: (value: any) => void, invalid?: boolean, described?: string, rows?: number}} properties */
export function JsonControl({ id, value, onChange, invalid, described, rows = 4 }) {
  const [typed, setTyped] = useState(textOf(value));
  const given = parse(typed);
  const text = value instanceof Broken ? value.text : same(given, value) ? typed : textOf(value);
  const change = (/** @type {any} */ event) => {
    setTyped(event.target.value);
    onChange(parse(event.target.value));
  };
  return html`<textarea id=${id} class="mono" rows=${rows} spellcheck=${false} value=${text} aria-invalid=${invalid} aria-describedby=${described} onInput=${change}></textarea>`;
}
