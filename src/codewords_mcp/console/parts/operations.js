// The operations of the runtime and its services, read off the served description.
import { get } from "../api.js";
import { resolved } from "./schema.js";

/**
 * @typedef {object} Operation
 * @property {string} id  "DELETE /workflows/{service_id}"; "ANY …" takes several methods.
 * @property {string[]} methods
 * @property {string} path
 * @property {string} summary
 * @property {string} [description]
 * @property {string} tag
 * @property {string} service  The library service that it is of, if any.
 * @property {boolean} writes
 * @property {boolean} [unsure]  With some inputs it only reads.
 * @property {string} key
 * @property {any[]} parameters
 * @property {any} input  The schema of its JSON body.
 * @property {boolean} raw  Its body may be anything.
 * @property {any} [example]
 * @property {string} [cost]
 */

const METHODS = ["get", "post", "put", "patch", "delete"];
const FORM = "application/x-www-form-urlencoded";

/** @type {Promise<Operation[]> | null} */
let loading = null;

/** All operations; the description is read once. @returns {Promise<Operation[]>} */
export function loadOperations() {
  loading ??= get("/openapi.json", {}).then(operationsOf, (error) => {
    loading = null;
    throw error;
  });
  return loading;
}

/** @param {any} document @returns {Operation[]} */
function operationsOf(document) {
  return Object.entries(document.paths).flatMap(([path, methods]) => {
    const found = METHODS.filter((method) => methods[method] && !isPage(methods[method]));
    return (found.length === METHODS.length ? [found] : found.map((one) => [one])).map((same) => operationOf(document, path, same, methods[same[1] ?? same[0]]));
  });
}

/** Pages and their forms are for a browser's window. @param {any} operation */
function isPage(operation) {
  const answers = Object.values(operation.responses).flatMap((/** @type {any} */ one) => Object.keys(one.content ?? {}));
  return operation["x-key"] === "page" || answers[0] === "text/html" || Boolean(operation.requestBody?.content[FORM]);
}

/** @param {any} document @param {string} path @param {string[]} methods @param {any} described @returns {Operation} */
function operationOf(document, path, methods, described) {
  const content = described.requestBody?.content ?? {};
  const schema = content["application/json"]?.schema;
  const [tag] = described.tags;
  const names = methods.map((method) => method.toUpperCase());
  return {
    id: `${names.length > 1 ? "ANY" : names[0]} ${path}`, methods: names, path, tag, summary: described.summary, description: described.description, key: described["x-key"],
    service: tag.startsWith("service: ") ? tag.slice(9) : "", writes: described["x-effect"] === "writes", unsure: names.length > 1, parameters: described.parameters,
    // References lead to the parts of the whole document.
    input: schema && !described["x-any-body"] ? { ...resolved(schema, document), components: document.components } : null, raw: described["x-any-body"],
  };
}

/** The operations of a library service, as it describes itself. @param {any} service @returns {Operation[]} */
export const operationsOfService = (service) => service.operations.map((/** @type {any} */ one) => ({
  id: one.path, methods: ["POST"], path: `/run/${service.name}${one.path.replace("*", "{path}")}`, tag: "", service: service.name, summary: one.summary, key: "run", aliases: one.aliases,
  writes: one.effect === "writes", unsure: one.reads_sometimes, parameters: one.path.includes("*") ? [{ name: "path", in: "path", required: true, schema: { type: "string" } }] : [], input: one.input, raw: false, example: one.example,
}));

/** An operation's route, as forms take it. @param {Operation} operation @param {string} method */
export const routeOf = (operation, method) => ({
  method, path: operation.path, deep: "path", input: operation.input,
  // What a workflow or a provider is asked for may be its root.
  parameters: operation.parameters.map((one) => (one.in === "path" && one.name === "path" ? { ...one, required: false } : one)),
});

/** Where an operation is shown. @param {Operation} operation */
export const pathOf = (operation) => (operation.service ? `/console/services/${encodeURIComponent(operation.service)}?op=${encodeURIComponent(operation.path.slice(`/run/${operation.service}`.length).replace("{path}", "*"))}`
  : `/console/api?op=${encodeURIComponent(operation.id)}`);

/** @param {Operation} operation @param {string} query */
export const hasWords = (operation, query) => {
  const text = `${operation.id}\n${operation.summary}\n${operation.tag}`.toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => text.includes(word));
};
