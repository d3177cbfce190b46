// The same call from a terminal, from Python, and in a chat.
import { visible } from "../format.js";
import { use as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { Copy, Text } from "./text.js";

/** A text as one word of a shell. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {string} url @param {string | null} input */
const curl = (url, input) => [`curl -X POST ${quoted(url)} \\`, `  -H "Authorization: Bearer $CODEWORDS_API_KEY" \\`, `  -H 'Content-Type: application/json'${input ? " \\" : ""}`, ...(input ? [`  -d ${quoted(input)}`] : [])].join("\n");

/** A JSON text is read as JSON, so that it needs no other spelling. @param {string} url @param {string | null} input */
const python = (url, input) => `import json, os, urllib.request

request = urllib.request.Request(
    ${JSON.stringify(url)},
    data=json.dumps(json.loads(${JSON.stringify(input ?? "{}")})).encode(),
    headers={"Authorization": f"Bearer {os.environ['CODEWORDS_API_KEY']}", "Content-Type": "application/json"},
)
print(json.load(urllib.request.urlopen(request)))`;

/** @param {{workflow: any}} properties */
export function Snippets({ workflow }) {
  const input = workflow.example === null || workflow.example === undefined ? null : JSON.stringify(workflow.example);
  const shown = [
    [words.curl, curl(workflow.url, input)], [words.python, python(workflow.url, input)],
    [words.chat, words.say(visible(workflow.name), workflow.service_id) + (input ? words.sayWith(input) : "") + "."],
  ];
  return html`<p class="dim">${words.lead}</p>${shown.map(([title, text]) => html`<section class="card"><header><h2>${title}</h2></header><div class="snippet"><pre tabindex="0"><${Text} of=${text} /></pre><${Copy} text=${text} /></div></section>`)}`;
}
