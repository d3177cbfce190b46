// The same call from a terminal, from Python, and in a chat.
import { visible } from "../format.js";
import { use as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { InputFields, useInputs } from "./inputs.js";
import { addressOf, headersOf, RouteChoice, startRoute } from "./route.js";
import { Copy, Text } from "./text.js";

/** @typedef {{method: string, url: string, headers: Record<string, string>, body: string, file?: string}} Request `file`: the name of one that is sent in place of a body. */

/** A text as one word of a shell. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {Request} request */
export const curl = ({ method, url, headers, body, file }) => [
  `curl${method === "GET" ? "" : ` -X ${method}`} ${quoted(url)}`, `-H "Authorization: Bearer $CODEWORDS_API_KEY"`,
  ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`), ...(file ? [`--data-binary ${quoted(`@${file}`)}`] : body ? [`-d ${quoted(body)}`] : []),
].join(" \\\n  ");

/** A text in the quotes of JSON is a text of Python too. @param {Request} request */
export const python = ({ method, url, headers, body, file }) => `import os, urllib.request

request = urllib.request.Request(
    ${JSON.stringify(url)},
    method=${JSON.stringify(method)},${file ? `\n    data=open(${JSON.stringify(file)}, "rb").read(),` : body ? `\n    data=${JSON.stringify(body)}.encode(),` : ""}
    headers={"Authorization": f"Bearer {os.environ['CODEWORDS_API_KEY']}"${Object.entries(headers).map(([name, value]) => `, ${JSON.stringify(name)}: ${JSON.stringify(value)}`).join("")}},
)
print(urllib.request.urlopen(request).read().decode())`;

/** @param {{title: string, text: string}} properties */
const Snippet = ({ title, text }) => html`<h2 class="below">${title}</h2><div class="snippet"><pre tabindex="0"><${Text} of=${text} /></pre><${Copy} text=${text} label=${words.copy(title)} /></div>`;

/** @param {{request: Request}} properties */
export const Requests = ({ request }) => html`<${Snippet} title=${words.curl} text=${curl(request)} /><${Snippet} title=${words.python} text=${python(request)} />`;

/** @param {{workflow: any}} properties */
export function Snippets({ workflow }) {
  const [at, setAt] = useState(() => startRoute(workflow));
  const route = workflow.routes[at] ?? { method: "POST", path: "/", input: null };
  return html`<p class="dim">${words.lead}</p>
    <div class="run-form"><${RouteChoice} workflow=${workflow} at=${at} onChange=${setAt} /></div><${OfRoute} key=${at} workflow=${workflow} route=${route} />`;
}

/** @param {{workflow: any, route: any}} properties */
function OfRoute({ workflow, route }) {
  const inputs = useInputs(route);
  const [filled, setFilled] = useState(false);
  const isMain = route.path === "/" && route.method === "POST";
  const example = isMain && workflow.example !== null && workflow.example !== undefined ? JSON.stringify(workflow.example) : "";
  const body = filled || !isMain ? inputs.content : example;
  const request = {
    method: route.method, url: new URL(workflow.url).origin + `/run/${encodeURIComponent(workflow.service_id)}` + addressOf(route, inputs.values.query), body,
    headers: { ...headersOf(inputs.values.headers), ...(body ? { "Content-Type": "application/json" } : {}) },
  };
  const say = words.say(visible(workflow.name), workflow.service_id) + (isMain ? "" : words.sayRoute(`${route.method} ${route.path}`)) + (body ? words.sayWith(body) : "") + ".";
  return html`<section class="card"><${Requests} request=${request} /><${Snippet} title=${words.chat} text=${say} /></section>
    ${(inputs.body || inputs.query) && html`<details class="card run-form" onInput=${() => setFilled(true)}><summary>${words.fill}</summary><div class="fields"><${InputFields} of=${inputs} /></div></details>`}`;
}
