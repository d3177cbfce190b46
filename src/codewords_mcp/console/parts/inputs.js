// What a route takes: its address, its headers and its body, as fields or as JSON.
import { form as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { Broken, check, parse } from "./check.js";
import { Field, focusFault } from "./fields.js";
import { bodySchema, parameterSchema } from "./route.js";
import { initial } from "./schema.js";
import { Text } from "./text.js";

const BODY = "input";
const QUERY = "address";
const HEADERS = "headers";

/** @typedef {{query: any, headers: any, body: any, text: string | null}} Values `text` is the body as JSON is typed; null in the form. */
/** @typedef {ReturnType<typeof useInputs>} Inputs */

/**
 * What a person enters for a route, and what is wrong with it.
 * @param {any} route @param {boolean} [lenient] Whether a body typed as JSON is left to the receiver to judge.
 * @param {any} [start] The body to begin with where its schema begins with none.
 */
export function useInputs(route, lenient = false, start = undefined) {
  const body = bodySchema(route);
  const query = parameterSchema(route);
  const headers = parameterSchema(route, ["header"]);
  const [values, setValues] = useState(/** @type {() => Values} */ (() => ({
    query: query ? initial(query, query) : {}, headers: headers ? initial(headers, headers) : {}, body: body && (initial(body, body) ?? start), text: null,
  })));
  const [touched, setTouched] = useState(/** @type {Set<string>} */ (new Set()));
  const [sent, setSent] = useState(false);

  const entered = values.text === null ? values.body : parse(values.text);
  const problems = {
    ...(query ? check(values.query, query, query, true, QUERY) : {}), ...(headers ? check(values.headers, headers, headers, true, HEADERS) : {}),
    ...(body ? check(entered, lenient && values.text !== null ? {} : body, body, Boolean(route.input), BODY) : {}),
  };
  const noticed = Object.fromEntries(Object.entries(problems).filter(([path]) => sent || touched.has(path)));
  const formOf = (/** @type {any} */ root) => ({ root, problems: noticed, touch: (/** @type {string} */ path) => touched.has(path) || setTouched(new Set(touched).add(path)) });
  const complete = () => {
    setSent(true);
    const faults = Object.keys(problems).length > 0;
    if (faults) focusFault(".run-form");
    return !faults;
  };
  /** The body as it is sent; nothing where it is left out. @type {string} */
  const content = values.text ?? (values.body === undefined || !body ? "" : JSON.stringify(values.body));
  return { route, body, query, headers, values, setValues, problems, sent, formOf, complete, content };
}

/** @param {{of: Inputs}} properties */
export function InputFields({ of }) {
  const { route, body, query, headers, values, setValues, problems, formOf } = of;
  return html`
    ${query && html`<${Group} legend=${words.parameters} schema=${query} values=${values.query} path=${QUERY} form=${formOf(query)} onChange=${(/** @type {any} */ changed) => setValues({ ...values, query: changed })} />`}
    ${headers && html`<details open=${headers.required.length > 0}><summary>${words.headers}</summary><${Group} legend=${words.headers} schema=${headers} values=${values.headers} path=${HEADERS} form=${formOf(headers)} onChange=${(/** @type {any} */ changed) => setValues({ ...values, headers: changed })} /></details>`}
    ${body ? html`<${Body} schema=${body} required=${Boolean(route.input)} values=${values} setValues=${setValues} form=${formOf(body)} problem=${problems[BODY]} />` : !query && html`<p class="dim">${words.noInput}</p>`}
    <${Faults} of=${of} />`;
}

/** Why nothing was sent: how many fields need another value, and what is wrong where no field shows it. @param {{of: Inputs}} properties */
export function Faults({ of: { problems, sent } }) {
  const faults = Object.keys(problems).length;
  if (!sent || !faults) return null;
  return html`<p class="bad" role="alert">${words.faults(faults)} ${problems[BODY] && html`<${Text} of=${problems[BODY]} />`}</p>`;
}

/** @param {any} properties */
const Group = ({ legend, schema, values, path, form, onChange }) => html`<fieldset class="group"><legend>${legend}</legend><div class="fields">${Object.entries(schema.properties).map(([one, part]) => html`<${Field} key=${one} name=${one} schema=${part}
  required=${schema.required.includes(one)} value=${values[one]} path=${`${path}/${one}`} form=${form} onChange=${(/** @type {any} */ value) => onChange({ ...values, [one]: value })} />`)}</div></fieldset>`;

/** The body, as fields or as JSON. @param {any} properties */
function Body({ schema, required, values, setValues, form, problem }) {
  const isText = values.text !== null;
  const given = isText ? parse(values.text) : values.body;
  const toText = () => setValues({ ...values, text: given === undefined ? "" : given instanceof Broken ? given.text : JSON.stringify(given, null, 2) });
  const parts = schema.properties && values.body && typeof values.body === "object" && !Array.isArray(values.body);
  const change = (/** @type {any} */ body) => setValues({ ...values, body });
  return html`<div class="choice" role="group" aria-label=${words.view}>
      <button type="button" aria-pressed=${!isText} disabled=${given instanceof Broken} onClick=${() => setValues({ ...values, body: given, text: null })}>${words.asForm}</button>
      <button type="button" aria-pressed=${isText} onClick=${toText}>${words.asJson}</button></div>
    ${isText ? html`<div class="field"><label for="input-json">${words.input}</label><textarea id="input-json" class="mono" rows="14" spellcheck=${false} value=${values.text} aria-invalid=${Boolean(problem)} aria-describedby="input-json-hint"
        onInput=${(/** @type {any} */ event) => setValues({ ...values, text: event.target.value })}></textarea><span id="input-json-hint" class="hint bad" role="status">${problem && html`<${Text} of=${problem} />`}</span></div>`
      : parts ? Object.entries(schema.properties).map(([name, part]) => html`<${Field} key=${name} name=${name} schema=${part} required=${(schema.required ?? []).includes(name)} value=${Object.hasOwn(values.body, name) ? values.body[name] : undefined}
        path=${`${BODY}/${name}`} form=${form} onChange=${(/** @type {any} */ value) => change(withPart(values.body, name, value))} />`)
      : html`<${Field} name=${words.input} schema=${schema} required=${required} value=${values.body} path=${BODY} form=${form} onChange=${change} />`}`;
}

/** @param {any} body @param {string} name @param {any} value */
const withPart = (body, name, value) => Object.fromEntries([...Object.entries(body).filter(([one]) => one !== name), ...(value === undefined ? [] : [[name, value]])]);
