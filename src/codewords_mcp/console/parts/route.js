// A route of a workflow: the schemas of what it takes, and the address of a call.
import { initial } from "./schema.js";

const MOST_RECENT = 5;
const MOST_CHARACTERS = 80;
const BODILESS = new Set(["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"]);

/** The schema of its JSON body; null where it takes none. @param {any} route */
export const bodySchema = (route) => route.input ?? (BODILESS.has(route.method) ? null : {});

/** The schema of what stands in its address; null where nothing does. @param {any} route */
export function parameterSchema(route) {
  const parameters = (route.parameters ?? []).filter((/** @type {any} */ one) => one.in === "path" || one.in === "query");
  if (!parameters.length) return null;
  return {
    type: "object",
    properties: Object.fromEntries(parameters.map((/** @type {any} */ one) => [one.name, { ...one.schema, ...(one.description ? { description: one.description } : {}) }])),
    required: parameters.filter((/** @type {any} */ one) => one.required).map((/** @type {any} */ one) => one.name),
  };
}

/** @param {any} route */
export function parameterStart(route) {
  const schema = parameterSchema(route);
  return schema ? initial(schema, schema) : {};
}

/** The path of a call, with its query. @param {any} route @param {Record<string, any>} values @returns {string} */
export function addressOf(route, values) {
  const inPath = new Set([...route.path.matchAll(/\{([^}:]+)[^}]*\}/g)].map((found) => found[1]));
  const path = route.path.replace(/\{([^}:]+)[^}]*\}/g, (/** @type {string} */ _, /** @type {string} */ name) => encodeURIComponent(textOf(values[name] ?? "")));
  const pairs = Object.entries(values).filter(([name, value]) => !inPath.has(name) && value !== undefined && value !== null)
    .flatMap(([name, value]) => (Array.isArray(value) ? value : [value]).map((one) => [name, textOf(one)]));
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

/** @param {any} value */
const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value));

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
