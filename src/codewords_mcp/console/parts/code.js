// The code of a version, to read.
import { get } from "../api.js";
import { address, href } from "../router.js";
import { versions as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { Problem, useResource } from "./resource.js";
import { Copy, Text } from "./text.js";

/** @param {{workflow: any}} properties */
export function Code({ workflow }) {
  const version = Number(address.value.query.get("version")) || workflow.version;
  const { data, error, reload } = useResource((signal) => get(`/workflows/${encodeURIComponent(workflow.service_id)}`, { version, code: 1 }, { signal }), [workflow.service_id, version]);
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  return html`<section class="card"><header><h2>${words.codeOf(version)}</h2><div class="actions"><${Copy} text=${data.code ?? ""} /><a class="button" href=${href("/console/drafts/new", { workflow: workflow.service_id })}>${words.edit}</a></div></header><${CodeBlock} text=${data.code ?? ""} label=${words.codeOf(version)} />
    ${data.dependencies.length > 0 && html`<h3 class="below">${words.dependencies}</h3><p class="mono">${data.dependencies.map((/** @type {string} */ one) => html`<span class="tag"><${Text} of=${one} /></span> `)}</p>`}</section>`;
}

/** Lines with their numbers; the numbers are not copied with them. @param {{text: string, label: string}} properties */
export function CodeBlock({ text, label }) {
  const lines = text.replace(/\n$/, "").split("\n");
  return html`<div class="code" tabindex="0" role="region" aria-label=${label}><pre class="numbers" aria-hidden="true">${lines.map((_, index) => index + 1).join("\n")}</pre><pre><${Text} of=${lines.join("\n")} /></pre></div>`;
}

/** Kind of a row → its class. @type {Record<string, string>} */
const CLASSES = { "+": "added", "-": "removed", "@": "place", "…": "place" };

/** The drawn difference of two programs: its rows, each with its kind in front. @param {{text: string, label: string}} properties */
export const Difference = ({ text, label }) => html`<div class="code" tabindex="0" role="region" aria-label=${label}><pre class="difference">${text.split("\n").map((row) => html`<span class=${CLASSES[row[0]] ?? ""}><${Text} of=${row} />${"\n"}</span>`)}</pre></div>`;
