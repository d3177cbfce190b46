// The form that runs a workflow, made from the schema of its route.
import { call } from "../api.js";
import { relative, visible } from "../format.js";
import { go } from "../router.js";
import { STATUS } from "../strings.js";
import { form as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Broken, check, parse } from "./check.js";
import { Field } from "./fields.js";
import { Problem } from "./resource.js";
import { addressOf, bodySchema, parameterSchema, parameterStart, recentInputs } from "./route.js";
import { initial } from "./schema.js";
import { now, Text } from "./text.js";

const BODY = "input";
const QUERY = "address";

/** @typedef {{query: any, body: any, text: string | null}} Values `text` is the input as JSON is typed; null in the form. */

/** @param {any} route @param {any} body @returns {Values} */
const valuesOf = (route, body) => ({ query: parameterStart(route), body, text: null });

/** @param {{workflow: any}} properties */
export function RunForm({ workflow }) {
  const [at, setAt] = useState(() => Math.max(0, workflow.routes.findIndex((/** @type {any} */ one) => one.path === "/" && one.method === "POST")));
  const route = workflow.routes[at] ?? { method: "POST", path: "/", input: null };
  return html`<section class="card run-form" aria-label=${words.title}>
    ${workflow.routes.length > 1 && html`<label class="field"><span>${words.route}</span><select onChange=${(/** @type {any} */ event) => setAt(Number(event.target.value))}>
      ${workflow.routes.map((/** @type {any} */ one, /** @type {number} */ index) => html`<option value=${String(index)} selected=${index === at}>${visible(`${one.method} ${one.path}`)}</option>`)}</select></label>`}
    ${route.summary && html`<p class="dim"><${Text} of=${route.summary} /></p>`}
    <${RouteForm} key=${`${at} ${workflow.version}`} workflow=${workflow} route=${route} /></section>`;
}

/** @param {{workflow: any, route: any}} properties */
function RouteForm({ workflow, route }) {
  const body = bodySchema(route);
  const query = parameterSchema(route);
  const [values, setValues] = useState(() => valuesOf(route, body && initial(body, body)));
  const [touched, setTouched] = useState(/** @type {Set<string>} */ (new Set()));
  const [sent, setSent] = useState(false);
  const action = useAction();

  const given = values.text === null ? values.body : parse(values.text);
  const problems = {
    ...(query ? check(values.query, query, query, true, QUERY) : {}),
    ...(body ? check(given, body, body, Boolean(route.input), BODY) : {}),
  };
  const noticed = Object.fromEntries(Object.entries(problems).filter(([path]) => sent || touched.has(path)));
  const formOf = (/** @type {any} */ root) => ({ root, problems: noticed, touch: (/** @type {string} */ path) => touched.has(path) || setTouched(new Set(touched).add(path)) });

  const run = (/** @type {Event} */ event, dry = false) => {
    event.preventDefault();
    setSent(true);
    if (Object.keys(problems).length) {
      // The first field with a fault gets the focus, once its words are beside it.
      requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector(".run-form [aria-invalid=true]"))?.focus());
      return;
    }
    action.run(async () => go(`/console/runs/${await start(workflow.service_id, route, values, dry)}`));
  };
  const name = visible(workflow.name);
  return html`<form class="fields" noValidate onSubmit=${run}>
    ${body && html`<${Beginnings} workflow=${workflow} route=${route} body=${body} onChoose=${(/** @type {any} */ value) => setValues({ ...values, body: value, text: values.text === null ? null : JSON.stringify(value, null, 2) })} />`}
    ${query && html`<fieldset class="group"><legend>${words.parameters}</legend><div class="fields">${Object.entries(query.properties).map(([one, part]) => html`<${Field} key=${one} name=${one} schema=${part}
      required=${query.required.includes(one)} value=${values.query[one]} path=${`${QUERY}/${one}`} form=${formOf(query)} onChange=${(/** @type {any} */ value) => setValues({ ...values, query: { ...values.query, [one]: value } })} />`)}</div></fieldset>`}
    ${body ? html`<${Body} schema=${body} required=${Boolean(route.input)} values=${values} setValues=${setValues} form=${formOf(body)} problem=${problems[BODY]} />` : !query && html`<p class="dim">${words.noInput}</p>`}
    ${sent && Object.keys(problems).length > 0 && html`<p class="bad" role="alert">${words.faults(Object.keys(problems).length)}</p>`}
    <${Problem} error=${action.error} />
    <div class="actions"><button class="primary" disabled=${action.working}>${words.run(name)}</button>
      <button type="button" disabled=${action.working} title=${words.dryHint} onClick=${(/** @type {Event} */ event) => run(event, true)}>${words.dry}</button><span class="dim">${words.dryHint}</span></div></form>`;
}

/** The input, as fields or as JSON. @param {any} properties */
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

/** What the form may begin with: its example, and the inputs of the last runs. @param {any} properties */
function Beginnings({ workflow, route, body, onChoose }) {
  const recent = recentInputs(workflow, route);
  const example = route.path === "/" && workflow.example !== null && workflow.example !== undefined;
  if (!example && !recent.length) return null;

  const choices = [{ name: words.empty, value: initial(body, body) },
    ...(example ? [{ name: workflow.example_from === "derived" ? words.derived : words.example, value: workflow.example }] : []),
    ...recent.map((/** @type {any} */ { run, value, line }) => ({ name: visible(words.recent(STATUS[run.status] ?? run.status, relative(run.created_at, now.peek()), line)), value }))];
  return html`<label class="field"><span>${words.begin}</span><select onChange=${(/** @type {any} */ event) => onChoose(structuredClone(choices[event.target.value].value))}>
    ${choices.map(({ name }, index) => html`<option value=${String(index)}>${name}</option>`)}</select></label>`;
}

/** Start a run; its id. @param {string} id @param {any} route @param {Values} values @param {boolean} dry @returns {Promise<string>} */
async function start(id, route, { query, body, text }, dry) {
  const sent = text ?? (body === undefined ? "" : JSON.stringify(body));
  const hasBody = Boolean(sent) && !["GET", "HEAD"].includes(route.method);
  const headers = { ...(hasBody ? { "Content-Type": "application/json" } : {}), ...(dry ? { "Codewords-Dry-Run": "yes" } : {}) };
  const { request_id } = await call(route.method, `/run_async/${encodeURIComponent(id)}${addressOf(route, query)}`, { body: hasBody ? sent : undefined, headers });
  return request_id;
}
