// The fields of a form: one for each kind of value that a JSON Schema can ask for.
import { nameOfId, visible } from "../format.js";
import { form as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { CONTROLS, JsonControl } from "./controls.js";
import { bestVariant, Broken } from "./check.js";
import { initial, kindOf, list, partOf, resolved, shown, takesNull, variantsOf } from "./schema.js";
import { Text } from "./text.js";

/** @typedef {import("./schema.js").Schema} Schema */
/** @typedef {{root: Schema, problems: import("./check.js").Problems, touch: (path: string) => void}} Form */
/**
 * @typedef {object} Properties
 * @property {string} name
 * @property {unknown} schema
 * @property {boolean} required
 * @property {any} value
 * @property {(value: any) => void} onChange
 * @property {string} path
 * @property {Form} form
 * @property {number} [depth]
 * @property {boolean} [bare]  Its name is already there.
 */

const MOST_ENTRIES = 50;
const GROUPS = /** @type {Record<string, Function>} */ ({ object: ObjectFields, list: ListFields, variants: VariantFields });

/** A name for a person: the schema's title where someone wrote one. @param {string} name @param {Schema} schema */
function labelOf(name, schema) {
  const title = typeof schema.title === "string" ? schema.title : "";
  const isGiven = title && !schema.properties && title.toLowerCase().replace(/\W/g, "") !== name.toLowerCase().replace(/[\W_]/g, "");
  return visible(isGiven ? title : nameOfId(name));
}

/** What a value may be, in a few words. @param {Schema} schema */
function boundsOf(schema) {
  const exclusive = [typeof schema.exclusiveMinimum === "number" && words.above(schema.exclusiveMinimum), typeof schema.exclusiveMaximum === "number" && words.below(schema.exclusiveMaximum)];
  const numbers = [between(schema.minimum, schema.maximum), ...exclusive].filter(Boolean).join(" ");
  const entries = between(schema.minItems, schema.maxItems);
  const characters = schema.minLength === 1 && schema.maxLength === undefined ? "" : between(schema.minLength, schema.maxLength);
  return numbers || (entries && words.bounds.entries(entries.replace(".", ""))) || (characters && words.bounds.characters(characters.replace(".", "")));
}

/** @param {unknown} low @param {unknown} high */
function between(low, high) {
  if (typeof low === "number" && typeof high === "number") return words.bounds.between(low, high);
  if (typeof low === "number") return words.least(low);
  return typeof high === "number" ? words.most(high) : "";
}

/** @param {Properties} properties */
export function Field({ name, schema, required, value, onChange, path, form, depth = 0, bare = false }) {
  const own = shown(schema, form.root);
  const nullable = takesNull(resolved(schema, form.root), form.root);
  const isLong = Array.isArray(value) && value.length > MOST_ENTRIES;
  const kind = isLong || value instanceof Broken ? "json" : kindOf(own, form.root, name, depth);
  if (kind === "const") return null;

  const label = labelOf(name, own);
  const id = `field${path}`;
  const problem = form.problems[path];
  // Where a default stands for what is left out, an emptied field says null, else nothing.
  const emptied = nullable && (required || (own.default ?? null) !== null) ? null : undefined;
  const shared = { id, name, label, schema: own, value, onChange, path, form, depth, emptied, required, invalid: Boolean(problem), described: `${id}-hint` };
  const bounds = boundsOf(own);
  const told = typeof own.description === "string" || bounds || problem;
  const hint = told && html`<span class="hint dim" id=${`${id}-hint`}>${typeof own.description === "string" && html`<span><${Text} of=${own.description} /></span> `}${bounds && html`<span>${bounds}</span>`}
    ${problem && html`<span class="bad" role="alert"><${Text} of=${problem} /></span>`}</span>`;

  const Group = GROUPS[kind];
  if (Group) return html`<${Given} ...${shared} optional=${!required || nullable} kind=${kind}>${hint}<${Group} ...${shared} /><//>`;
  const Control = kind === "json" ? JsonControl : CONTROLS[kind];
  const isCheck = kind === "boolean" && typeof value === "boolean";
  return html`<div class="field" onFocusOut=${() => form.touch(path)}>
    ${isCheck ? html`<${Control} ...${shared} />` : html`<label for=${id} title=${visible(name)} class=${bare ? "hidden" : ""}>${label}${!required && own.default === undefined && html` <span class="dim">${words.optional}</span>`}</label><${Control} ...${shared} />`}${hint}</div>`;
}

/** A group of fields, which may be left out where it is optional. @param {any} properties */
function Given({ label, name, schema, value, onChange, emptied, optional, form, kind, children }) {
  const there = kind === "list" || (value !== undefined && value !== null);
  const give = () => onChange(kind === "object" ? initial({ ...schema, default: undefined }, form.root) ?? {} : initial(variantsOf(schema, form.root)[0], form.root) ?? "");
  return html`<fieldset class="group"><legend title=${visible(name)}>${label}</legend>
    ${there ? html`${children}${optional && kind !== "list" && html`<button type="button" class="leave" aria-label=${words.leaveOut(label)} onClick=${() => onChange(emptied)}>${words.leaveOutShort}</button>`}`
      : html`${children[0]}<button type="button" onClick=${give}>${words.give(label)}</button>`}</fieldset>`;
}

/** @param {any} properties */
function ObjectFields({ schema, value, onChange, path, form, depth }) {
  const required = list(schema.required);
  const set = (/** @type {string} */ name, /** @type {any} */ part) => {
    const rest = Object.entries(value).filter(([key]) => key !== name);
    const at = Object.keys(value).indexOf(name);
    if (part !== undefined) rest.splice(at < 0 ? rest.length : at, 0, [name, part]);
    onChange(Object.fromEntries(rest));
  };
  if (typeof value !== "object" || Array.isArray(value)) return html`<${JsonControl} id=${`field${path}`} value=${value} onChange=${onChange} />`;
  return html`<div class="fields">${Object.entries(schema.properties).map(([name, part]) => html`<${Field} key=${name} name=${name} schema=${part} required=${required.includes(name)}
    value=${partOf(value, name)} onChange=${(/** @type {any} */ changed) => set(name, changed)} path=${`${path}/${name}`} form=${form} depth=${depth + 1} />`)}</div>`;
}

/** @param {any} properties */
function ListFields({ schema, value, onChange, path, form, depth, label }) {
  const items = Array.isArray(value) ? value : [];
  return html`<ul class="entries">${items.map((item, index) => html`<li key=${index}>
      <${Field} name=${words.item(index + 1)} schema=${untitled(shown(schema.items, form.root))} required=${true} value=${item} path=${`${path}/${index}`} form=${form} depth=${depth + 1}
        onChange=${(/** @type {any} */ changed) => onChange(items.map((one, at) => (at === index ? changed ?? "" : one)))} />
      <button type="button" aria-label=${words.removeItem(label, index + 1)} title=${words.removeItem(label, index + 1)} class="plain" onClick=${() => onChange(items.filter((_, at) => at !== index))}>✕</button></li>`)}</ul>
    <button type="button" onClick=${() => onChange([...items, initial(schema.items, form.root) ?? ""])}>${words.add(label)}</button>`;
}

/** @param {Schema} schema */
const untitled = (schema) => ({ ...schema, title: undefined });

/** @param {any} properties */
function VariantFields({ schema, value, onChange, path, form, depth, label }) {
  const variants = variantsOf(schema, form.root);
  const chosen = bestVariant(value, variants, form.root);
  const named = variants.map((one, index) => visible(one.title ?? words.types[one.type] ?? words.variant(index + 1)));
  return html`<label class="of-kind"><span class="hidden">${words.kind(label)}</span><select value=${String(chosen)} onChange=${(/** @type {any} */ event) => onChange(initial(variants[event.target.value], form.root) ?? emptyOf(variants[event.target.value]))}>
      ${named.map((one, index) => html`<option value=${String(index)} selected=${index === chosen}>${one}</option>`)}</select></label>
    <${Field} key=${chosen} name=${named[chosen]} schema=${{ ...variants[chosen], description: undefined }} required=${true} bare value=${value} onChange=${(/** @type {any} */ changed) => onChange(changed ?? "")} path=${path} form=${form} depth=${depth + 1} />`;
}

/** What a value of a kind is before anything is entered. @param {Schema} schema */
const emptyOf = (schema) => (schema.type === "integer" || schema.type === "number" ? 0 : schema.type === "boolean" ? false : "");

/** Focus the first field with a fault, once its words are beside it. @param {string} within */
export const focusFault = (within) => requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector(`${within} [aria-invalid=true]`))?.focus());
