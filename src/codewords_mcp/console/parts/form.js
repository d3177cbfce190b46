// The form that runs a workflow, made from the schema of its route.
import { relative, visible } from "../format.js";
import { go } from "../router.js";
import { STATUS } from "../strings.js";
import { form as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { InputFields, useInputs } from "./inputs.js";
import { Problem } from "./resource.js";
import { addressOf, headersOf, recentInputs, RouteChoice, startRoute } from "./route.js";
import { initial } from "./schema.js";
import { start } from "./start.js";
import { now, Text } from "./text.js";

/** @param {{workflow: any}} properties */
export function RunForm({ workflow }) {
  const [at, setAt] = useState(() => startRoute(workflow));
  const route = workflow.routes[at] ?? { method: "POST", path: "/", input: null };
  return html`<section class="card run-form" aria-label=${words.title}>
    <${RouteChoice} workflow=${workflow} at=${at} onChange=${setAt} />
    ${route.summary && html`<p class="dim"><${Text} of=${route.summary} /></p>`}
    <${RouteForm} key=${`${at} ${workflow.version}`} workflow=${workflow} route=${route} /></section>`;
}

/**
 * @param {object} properties
 * @param {any} properties.workflow  What has the route: a workflow, or a draft.
 * @param {any} properties.route
 * @param {{label: string, hint: string, run: (input: any) => Promise<unknown>}} [properties.instead]  Done with the input instead of a run.
 */
export function RouteForm({ workflow, route, instead }) {
  const inputs = useInputs(route);
  const action = useAction();
  const { body, values, setValues } = inputs;
  const run = (/** @type {Event} */ event, dry = false) => {
    event.preventDefault();
    if (inputs.complete()) action.run(async () => (instead ? instead.run(JSON.parse(inputs.content || "{}")) : go(`/console/runs/${await startWith(workflow.service_id, inputs, dry)}`)));
  };
  return html`<form class="fields" noValidate onSubmit=${run}>
    ${body && html`<${Beginnings} workflow=${workflow} route=${route} body=${body} onChoose=${(/** @type {any} */ value) => setValues({ ...values, body: value, text: values.text === null ? null : JSON.stringify(value, null, 2) })} />`}
    <${InputFields} of=${inputs} />
    <${Problem} error=${action.error} />
    <div class="actions"><button class="primary" disabled=${action.working}>${instead?.label ?? words.run(visible(workflow.name))}</button>
      ${instead ? html`<span class="dim">${instead.hint}</span>` : html`<button type="button" disabled=${action.working} title=${words.dryHint} onClick=${(/** @type {Event} */ event) => run(event, true)}>${words.dry}</button><span class="dim">${words.dryHint}</span>`}</div></form>`;
}

/** What the form may begin with: its example, and the inputs of the last runs. @param {any} properties */
function Beginnings({ workflow, route, body, onChoose }) {
  const recent = workflow.last_runs ? recentInputs(workflow, route) : [];
  const example = route.path === "/" && workflow.example !== null && workflow.example !== undefined;
  if (!example && !recent.length) return null;

  const choices = [{ name: words.empty, value: initial(body, body) },
    ...(example ? [{ name: workflow.example_from === "derived" ? words.derived : words.example, value: workflow.example }] : []),
    ...recent.map((/** @type {any} */ { run, value, line }) => ({ name: visible(words.recent(STATUS[run.status] ?? run.status, relative(run.created_at, now.peek()), line)), value }))];
  return html`<label class="field"><span>${words.begin}</span><select onChange=${(/** @type {any} */ event) => onChoose(structuredClone(choices[event.target.value].value))}>
    ${choices.map(({ name }, index) => html`<option value=${String(index)}>${name}</option>`)}</select></label>`;
}

/** Start a run with what was entered; its id. @param {string} id @param {import("./inputs.js").Inputs} inputs @param {boolean} dry */
function startWith(id, { route, values, content }, dry) {
  const hasBody = Boolean(content) && !["GET", "HEAD"].includes(route.method);
  const headers = { ...headersOf(values.headers), ...(hasBody ? { "Content-Type": "application/json" } : {}), ...(dry ? { "Codewords-Dry-Run": "yes" } : {}) };
  return start(id, route.method, addressOf(route, values.query), { body: hasBody ? content : undefined, headers });
}
