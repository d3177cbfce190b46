// The controls of a form's fields: text, numbers, choices, times, files.
import { visible } from "../format.js";
import { form as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { Broken, parse } from "./check.js";
import { same } from "./schema.js";
import { Upload } from "./upload.js";

/**
 * @typedef {object} Properties
 * @property {string} id
 * @property {string} label
 * @property {import("./schema.js").Schema} schema
 * @property {any} value
 * @property {(value: any) => void} onChange
 * @property {null | undefined} emptied  What an emptied field says.
 * @property {boolean} required
 * @property {boolean} invalid
 * @property {string} described
 */

const DATE = /^\d{4}-\d\d-\d\d$/;
const TIME = /^\d\d:\d\d(:\d\d)?$/;

/** @param {Properties} properties */
const attributes = ({ id, invalid, described, required }) => ({ id, "aria-invalid": invalid, "aria-describedby": described, "aria-required": required });

/** An emptied text: "" where another text would stand for what is left out. @param {string} text @param {Properties} properties */
const textOr = (text, { emptied, schema }) => (text === "" && !(typeof schema.default === "string" && schema.default !== "") ? emptied : text);

/** @param {any} value */
const asText = (value) => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value));

/** @param {Properties} of */
const ShortText = (of) => html`<input ...${attributes(of)} type=${of.schema.format === "password" ? "password" : "text"} autocomplete="off" spellcheck=${false} value=${asText(of.value)}
  onInput=${(/** @type {any} */ event) => of.onChange(textOr(event.target.value, of))} />`;

/** @param {Properties} of */
const LongText = (of) => html`<textarea ...${attributes(of)} class="prose" rows="5" value=${asText(of.value)} onInput=${(/** @type {any} */ event) => of.onChange(textOr(event.target.value, of))}></textarea>`;

/** What is no number stays as it was typed, for the check to name. @param {Properties} of */
function NumberControl(of) {
  const [typed, setTyped] = useState(asText(of.value));
  const text = typed.trim() !== "" && Number(typed) === of.value ? typed : asText(of.value);
  const change = (/** @type {any} */ event) => {
    const { value } = event.target;
    setTyped(value);
    if (value.trim() === "") of.onChange(of.emptied);
    else of.onChange(Number.isFinite(Number(value)) ? Number(value) : value);
  };
  return html`<input ...${attributes(of)} class="short" type="text" inputmode=${of.schema.type === "integer" ? "numeric" : "decimal"} autocomplete="off" value=${text} onInput=${change} />`;
}

/** @param {Properties} of */
function YesNo(of) {
  if (typeof of.value === "boolean") return html`<label class="check"><input ...${attributes(of)} type="checkbox" checked=${of.value} onChange=${() => of.onChange(!of.value)} />${of.label}</label>`;
  return html`<${Choice} ...${of} schema=${{ enum: [true, false] }} names=${[words.yes, words.no]} />`;
}

/** @param {Properties & {names?: string[]}} of */
function Choice(of) {
  const options = of.schema.enum.filter((/** @type {any} */ one) => one !== null);
  const at = options.findIndex((/** @type {any} */ one) => same(one, of.value));
  const change = (/** @type {any} */ event) => of.onChange(event.target.value === "" ? of.emptied : options[event.target.value]);
  return html`<select ...${attributes(of)} value=${at < 0 ? "" : String(at)} onChange=${change}>
    ${(at < 0 || !of.required) && html`<option value="" selected=${at < 0}>${of.value === undefined || of.value === null ? words.choose : visible(asText(of.value))}</option>`}
    ${options.map((/** @type {any} */ one, /** @type {number} */ index) => html`<option value=${String(index)} selected=${index === at}>${visible((of.names ?? of.schema.enumNames)?.[index] ?? asText(one))}</option>`)}</select>`;
}

/** A time as the browser's field has it, in the person's zone. @param {string} value */
function wallTime(value) {
  const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(value);
  const moment = new Date(value);
  if (!zoned || Number.isNaN(moment.getTime())) return value.slice(0, 19);
  return new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** The same with the person's zone, so that it is one moment everywhere. @param {string} wall */
function withZone(wall) {
  const minutes = -new Date(wall).getTimezoneOffset();
  const two = (/** @type {number} */ n) => String(Math.floor(Math.abs(n))).padStart(2, "0");
  return `${wall.length === 16 ? `${wall}:00` : wall}${minutes < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
}

/** @param {Properties} of */
function Moment(of) {
  const wall = typeof of.value === "string" ? wallTime(of.value) : "";
  if (wall && Number.isNaN(new Date(wall).getTime())) return html`<${ShortText} ...${of} />`;
  return html`<input ...${attributes(of)} class="short" type="datetime-local" step="1" title=${words.zone(Intl.DateTimeFormat().resolvedOptions().timeZone)} value=${wall}
    onChange=${(/** @type {any} */ event) => of.onChange(event.target.value ? withZone(event.target.value) : of.emptied)} />`;
}

/** A field of the browser, or text where the value is none of its kind. @param {string} type @param {RegExp} form */
const browsers = (type, form) => (/** @type {Properties} */ of) => (of.value && !form.test(of.value) ? html`<${ShortText} ...${of} />`
  : html`<input ...${attributes(of)} class="short" type=${type} step=${type === "time" ? "1" : undefined} value=${of.value ?? ""} onChange=${(/** @type {any} */ event) => of.onChange(event.target.value || of.emptied)} />`);

/** @param {Properties} of */
const FileControl = (of) => html`<span class="upload"><${ShortText} ...${of} /><${Upload} label=${of.label} onUploaded=${of.onChange} /></span>`;

/** Controls by the kind of their field. @type {Record<string, Function>} */
export const CONTROLS = {
  text: ShortText, long: LongText, integer: NumberControl, number: NumberControl, boolean: YesNo, choice: Choice,
  date: browsers("date", DATE), time: browsers("time", TIME), moment: Moment, file: FileControl,
};

/** @param {any} value */
const textOf = (value) => (value === undefined ? "" : value instanceof Broken ? value.text : JSON.stringify(value, null, 2));

/** A field for JSON, which says where it is none. @param {{id: string, value: any, onChange: (value: any) => void, invalid?: boolean, described?: string, rows?: number}} properties */
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
