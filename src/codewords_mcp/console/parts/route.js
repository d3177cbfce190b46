// A route: the schemas of what it takes, the address of a call, and choosing one of a workflow's.
import { visible } from "../format.js";
import { form as words } from "../strings_workflows.js";
import { html } from "../ui.js";

const MOST_RECENT = 5;
const MOST_CHARACTERS = 80;
const BODILESS = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"]);

/** The schema of its JSON body; null where it takes none. @param {any} route */
export const bodySchema = (route) => route.input ?? (BODILESS.has(route.method) ? null : {});

/** The schema of what stands in its address, or elsewhere; null where nothing does. @param {any} route @param {string[]} [where] */
export function parameterSchema(route, where = ["path", "query"]) {
  const parameters = (route.parameters ?? []).filter((/** @type {any} */ one) => where.includes(one.in));
  if (!parameters.length) return null;
  return {
    type: "object",
    properties: Object.fromEntries(parameters.map((/** @type {any} */ one) => [one.name, { ...one.schema, ...(one.description ? { description: one.description } : {}) }])),
    required: parameters.filter((/** @type {any} */ one) => one.required).map((/** @type {any} */ one) => one.name),
  };
}

/** Where a workflow's routes begin: the one that a bare call takes. @param {any} workflow */
export const startRoute = (workflow) => Math.max(0, workflow.routes.findIndex((/** @type {any} */ one) => one.path === "/" && one.method === "POST"));

/** @param {{workflow: any, at: number, onChange: (at: number) => void}} properties */
export const RouteChoice = ({ workflow, at, onChange }) => workflow.routes.length > 1 && html`<label class="field"><span>${words.route}</span><select onChange=${(/** @type {any} */ event) => onChange(Number(event.target.value))}>
  ${workflow.routes.map((/** @type {any} */ one, /** @type {number} */ index) => html`<option value=${String(index)} selected=${index === at}>${visible(`${one.method} ${one.path}`)}</option>`)}</select></label>`;

/** The path of a call, with its query. @param {any} route @param {Record<string, any>} values @returns {string} */
export function addressOf(route, values) {
  const inPath = new Set([...route.path.matchAll(/\{([^}:]+)[^}]*\}/g)].map((found) => found[1]));
  const path = route.path.replace(/\{([^}:]+)[^}]*\}/g, (/** @type {string} */ _, /** @type {string} */ name) => encoded(textOf(values[name] ?? ""), route.deep === name));
  const pairs = Object.entries(values).filter(([name, value]) => !inPath.has(name) && value !== undefined && value !== null)
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, textOf(one)]));
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

/** @param {string} text @param {boolean} deep Whether slashes part it. */
const encoded = (text, deep) => (deep ? text.replace(/^\//, "").split("/").map(encodeURIComponent).join("/") : encodeURIComponent(text));

/** @param {any} value */
const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value));

/** The headers of a call. @param {Record<string, any>} values @returns {Record<string, string>} */
export const headersOf = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => [name, textOf(value)]));

/** The different inputs of the last runs of this route. @param {any} workflow @param {any} route @returns {{run: any, value: any, line: string}[]} */
export function recentInputs(workflow, route) {
  const found = new Map();
  for (const run of workflow.last_runs) {
    const { input } = run;
    if (!input?.content || input.truncated || input.method !== route.method || input.path !== route.path || found.has(input.content)) continue;
    try {
      found.set(input.content, { run, value: JSON.parse(input.content), line: input.content.slice(0, MOST_CHARACTERS) });
    } catch {
      // An input that is no JSON can't fill a form.
    }
  }
  return [...found.values()].slice(0, MOST_RECENT);
}
