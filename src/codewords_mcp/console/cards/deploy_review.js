// The card of a deploy: what it changes, in four differences, and the runtime's question where it has one.
import { visible } from "../format.js";
import { review as words } from "./strings.js";
import { html, useState } from "../ui.js";
import { useAction } from "../parts/action.js";
import { CodeBlock, Difference } from "../parts/code.js";
import { Problem } from "../parts/resource.js";
import { Text } from "../parts/text.js";
import { callTool } from "./api.js";
import { Question, show } from "./card.js";
import { input } from "./host.js";
import { nameOf } from "./names.js";

/** @param {{data: any}} properties */
function Review({ data: first }) {
  const [later, setLater] = useState(/** @type {any} */ (null));
  const data = later ?? first;
  if (data.status === "building") return html`<p role="status">${words.building}</p>`;
  if (data.status === "needs_consent") return html`<${Pending} data=${data} onDeployed=${setLater} />`;
  const name = visible(nameOf(data.workflow_id));
  return html`<header class="head"><h1 class="headline">${(data.status === "unchanged" ? words.unchanged : words.deployed)(name, data.version)}</h1></header>
    ${data.changes ? html`<${Changes} changes=${data.changes} />` : html`<p class="dim">${words.fresh}</p>`}
    ${data.capabilities?.length > 0 && html`<section class="card"><header><h2>${words.permissions}</h2></header><${Lines} lines=${data.capabilities} /></section>`}`;
}

/** @param {{data: any, onDeployed: (data: any) => void}} properties */
function Pending({ data, onDeployed }) {
  const [answered, setAnswered] = useState(false);
  const action = useAction();
  const code = input.value?.code;
  const deploy = () => action.run(async () => onDeployed((await callTool("deploy_workflow", { ...input.peek(), confirm: data.confirm })).structuredContent));
  return html`<header class="head"><h1 class="headline">${words.pending}</h1></header>
    <${Question} message=${words.asks} asks=${data.asks ?? []} url=${data.consent_url} onAnswered=${() => setAnswered(true)} />
    ${answered && html`<p class="actions"><button disabled=${action.working} onClick=${deploy}>${action.working ? `${words.working} …` : words.deploy}</button></p>`}
    <${Problem} error=${action.error} />
    ${data.changes && html`<${Changes} changes=${data.changes} />`}
    ${!data.changes && typeof code === "string" && html`<details class="card"><summary>${words.source}</summary><${CodeBlock} text=${code} label=${words.source} /></details>`}`;
}

/** Code, permissions, behaviour and cost beside the version before. @param {{changes: any}} properties */
const Changes = ({ changes }) => html`<p class="dim">${words.beside(changes.version)}</p>
  <section class="card"><header><h2>${words.code}</h2><span class="dim">${words.lines(changes.lines_added ?? 0, changes.lines_removed ?? 0)}</span></header>
    ${changes.code ? html`<${Difference} text=${changes.code} label=${words.code} />` : html`<p class="dim">${words.same}</p>`}</section>
  <section class="card"><header><h2>${words.permissions}</h2></header>${changes.permissions?.length ? html`<${Lines} lines=${changes.permissions} />` : html`<p class="dim">${words.samePermissions}</p>`}</section>
  <section class="card"><header><h2>${words.behaviour}</h2></header>${changes.behaviour?.length ? html`<${Lines} lines=${changes.behaviour} />` : html`<p class="dim">${words.noBehaviour}</p>`}</section>
  <section class="card"><header><h2>${words.cost}</h2></header><p><${Text} of=${changes.cost || words.noCost} /></p></section>`;

/** @param {{lines: string[]}} properties */
const Lines = ({ lines }) => html`<ul class="lines">${lines.map((line) => html`<li class=${line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : ""}><${Text} of=${line} /></li>`)}</ul>`;

show("deploy-review", Review);
