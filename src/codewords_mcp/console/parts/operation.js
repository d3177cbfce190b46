// One operation as a form that is sent as the person's session, and the same request for other places.
import { ApiError } from "../api.js";
import { visible } from "../format.js";
import { api as words } from "../strings_explore.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { useAction } from "./action.js";
import { check } from "./check.js";
import { Confirm } from "./confirm.js";
import { asked, Consent } from "./consent.js";
import { exchange, Outcome } from "./exchange.js";
import { InputFields, useInputs } from "./inputs.js";
import { routeOf } from "./operations.js";
import { Progress } from "./progress.js";
import { Problem } from "./resource.js";
import { addressOf, headersOf } from "./route.js";
import { isObject, shown } from "./schema.js";
import { Requests } from "./snippets.js";
import { Text } from "./text.js";

const MOST_LINES = 40;
const MOST_CHARACTERS = 60;

/** @typedef {import("./operations.js").Operation} Operation */
/** @typedef {{writes: boolean, asks: string[]}} Preview */
/**
 * @typedef {object} Properties
 * @property {Operation} operation
 * @property {string} [cost]  What a call costs, in words.
 * @property {(value: any) => any} [wrap]  The body that is sent, of the one that is entered.
 * @property {(body: any, path: string) => Promise<Preview>} [preview]  What a call would do.
 * @property {(values: any) => unknown} [beside]  More of the form, of what is entered.
 */

/** @param {Properties} properties */
export function OperationForm({ operation, ...more }) {
  const [method, setMethod] = useState(operation.methods.includes("POST") ? "POST" : operation.methods[0]);
  return html`<section class="card run-form" aria-label=${operation.summary}>
    ${operation.methods.length > 1 && html`<label class="field"><span>${words.method}</span><select class="short" onChange=${(/** @type {any} */ event) => setMethod(event.target.value)}>${operation.methods.map((one) => html`<option selected=${one === method}>${one}</option>`)}</select></label>`}
    <${MethodForm} key=${method} operation=${operation} method=${method} ...${more} /></section>`;
}

/** @param {Properties & {method: string}} properties */
function MethodForm({ operation, method, cost, wrap = (value) => value, preview, beside }) {
  const inputs = useInputs(routeOf(operation, method), true);
  const [file, setFile] = useState(/** @type {File | null} */ (null));
  const [question, setQuestion] = useState(/** @type {any} */ (null));
  const action = useAction();
  const call = useCall();
  const { values, setValues, content } = inputs;

  const body = inputs.body && content ? bodyOf(content, wrap) : "";
  const path = addressOf(inputs.route, values.query);
  const type = file ? file.type || "application/octet-stream" : body && "application/json";
  const request = { method, path, headers: { ...headersOf(values.headers), ...(type ? { "Content-Type": type } : {}) }, body: file ?? (body || undefined) };
  const line = visible(`${method} ${path}`);
  const label = words.send(line.length > MOST_CHARACTERS ? `${line.slice(0, MOST_CHARACTERS)}…` : line);
  const send = (/** @type {string | null} */ confirm = null) => call.start(confirm ? { ...request, body: JSON.stringify({ ...JSON.parse(body || "{}"), confirm }) } : request);

  const begin = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!inputs.complete()) return;
    action.run(async () => {
      const found = operation.writes && preview ? await preview(body ? JSON.parse(body) : null, path) : { writes: operation.writes, asks: [] };
      if (found.writes) setQuestion(found);
      else send();
    });
  };
  const consent = call.outcome && !call.working && inputs.body?.properties?.confirm ? consentOf(call.outcome) : null;
  const shownBody = visible(masked(body, inputs.body, wrap(null)));
  return html`<form class="fields" noValidate onSubmit=${begin}>
      ${operation.example && html`<div class="actions"><button type="button" onClick=${() => setValues({ ...values, ...exampleOf(operation.example, inputs.body, values.text !== null) })}>${words.example}</button></div>`}
      <${InputFields} of=${inputs} />${beside?.(inputs)}
      ${operation.raw && method !== "GET" && html`<label class="field"><span>${words.file}</span><input type="file" onChange=${(/** @type {any} */ event) => setFile(event.target.files[0] ?? null)} /></label>`}
      ${cost && html`<p class="dim">${cost}</p>`}<${Problem} error=${action.error ?? call.error} />
      <div class="actions"><button class=${operation.writes ? "danger" : "primary"} disabled=${action.working || call.working}>${label}</button>${call.working && html`<button type="button" onClick=${call.stop}>${words.stop}</button>`}</div></form>
    ${call.working && html`<${Progress} of=${null} label=${words.sending} />`}
    ${call.outcome && html`<div class="below"><${Outcome} of=${call.outcome} working=${call.working} /></div>`}
    <details class="below"><summary>${words.request}</summary><p class="dim">${words.requestLead}</p>
      <${Requests} request=${{ method, url: location.origin + path, headers: request.headers, body: masked(body, inputs.body, wrap(null)), file: file?.name }} /></details>
    ${question && html`<${Confirm} title=${words.ask(operation.summary)} lead=${words.asks} action=${label} keep=${words.keep} act=${async () => void send()} onClose=${() => setQuestion(null)}>
      ${question.asks.length ? html`<p class="mono">${line}</p><ul class="facts-list">${question.asks.slice(0, MOST_LINES).map((/** @type {string} */ one) => html`<li><${Text} of=${one} /></li>`)}</ul>` : html`<pre class="asked">${line}${shownBody && `\n\n${shownBody}`}</pre>`}
      ${cost && html`<p class="dim">${cost}</p>`}<//>`}
    ${consent && html`<${Consent} question=${consent} act=${words.again} onAgree=${() => send(consent.confirm)} onClose=${call.clear} />`}`;
}

/** An example as it is filled in: as JSON where it is shorter than the schema says, which the receiver completes. @param {any} example @param {any} schema @param {boolean} asText */
const exampleOf = (example, schema, asText) => ({ body: structuredClone(example), text: asText || Object.keys(check(example, schema, schema)).length ? JSON.stringify(example, null, 2) : null });

/** A call that can be stopped. */
function useCall() {
  const [state, setState] = useState(/** @type {{working: boolean, outcome: import("./exchange.js").Exchange | null, error: any}} */ ({ working: false, outcome: null, error: null }));
  const abort = useRef(new AbortController());
  useEffect(() => () => abort.current.abort(), []);
  const start = async (/** @type {Parameters<typeof exchange>[0]} */ request) => {
    abort.current = new AbortController();
    setState({ working: true, outcome: null, error: null });
    try {
      const outcome = await exchange(request, abort.current.signal, (part) => setState({ working: true, outcome: part, error: null }));
      setState({ working: false, outcome, error: null });
    } catch (error) {
      setState({ working: false, outcome: null, error: abort.current.signal.aborted ? null : error });
    }
  };
  return { ...state, start, stop: () => abort.current.abort(), clear: () => setState({ working: false, outcome: null, error: null }) };
}

/** @param {string} content @param {(value: any) => any} wrap */
function bodyOf(content, wrap) {
  try {
    return JSON.stringify(wrap(JSON.parse(content)));
  } catch {
    return "";
  }
}

/** The runtime's question in an answer, if it is one. @param {import("./exchange.js").Exchange} outcome */
function consentOf({ status, text }) {
  try {
    return status === 403 ? asked(new ApiError(status, JSON.parse(text))) : null;
  } catch {
    return null;
  }
}

/** A body to show: what is typed into a field for a secret is left out. @param {string} body @param {any} schema @param {any} wrapped Whether the entered value lies in another. */
function masked(body, schema, wrapped) {
  if (!body || !isObject(schema?.properties)) return body;
  const secret = Object.keys(schema.properties).filter((name) => {
    const part = shown(schema.properties[name], schema);
    return part.format === "password" || part.writeOnly;
  });
  const hide = (/** @type {any} */ value) => (isObject(value) ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, secret.includes(name) ? words.hidden : one])) : value);
  const value = JSON.parse(body);
  return secret.length ? JSON.stringify(wrapped && isObject(value.props) ? { ...value, props: hide(value.props) } : hide(value)) : body;
}
