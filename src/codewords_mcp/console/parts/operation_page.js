// What an operation does, above its form.
import { post } from "../api.js";
import { api as words, services as serviceWords } from "../strings_explore.js";
import { html } from "../ui.js";
import { OperationForm } from "./operation.js";
import { Text } from "./text.js";

const MODELS = new Set(["models", "providers", "service: web_automation_agent"]);
const ASKING = new Set(["openai", "anthropic", "gemini", "web_automation_agent"]);

/** @param {import("./operations.js").Operation} operation @param {any} [service] */
function costOf(operation, service) {
  if (MODELS.has(operation.tag) || ASKING.has(operation.service) || operation.path === "/generate") return words.models;
  const used = (service?.credentials ?? []).filter((/** @type {any} */ one) => one.present).map((/** @type {any} */ one) => one.name);
  return used.length ? words.credential(used.join(", ")) : "";
}

/** @param {{operation: import("./operations.js").Operation}} properties */
export const Effect = ({ operation }) => html`<span class=${operation.writes && !operation.unsure ? "tag unset" : "tag"}>${operation.unsure ? serviceWords.sometimes : operation.writes ? serviceWords.writes : serviceWords.reads}</span>`;

/** @param {{operation: import("./operations.js").Operation, service?: any}} properties */
export function OperationPage({ operation, service }) {
  const { service: name } = operation;
  const preview = name ? (/** @type {any} */ input, /** @type {string} */ path) => post(`/services/${encodeURIComponent(name)}/preview`, { path: decodeURIComponent(path.slice(`/run/${name}`.length)), input }) : undefined;
  return html`${operation.description && html`<p class="dim"><${Text} of=${operation.description} /></p>`}
    <p class="needs"><${Effect} operation=${operation} />${words.key[operation.key] && html`<span class="tag">${words.key[operation.key]}</span>`}<code class="tag">${operation.methods.length > 1 ? "ANY" : operation.methods[0]} ${operation.path}</code></p>
    <${OperationForm} key=${operation.id} operation=${operation} preview=${preview} cost=${costOf(operation, service)} />`;
}
