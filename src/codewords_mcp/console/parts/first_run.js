// The page of an empty home: deploy a template in one click, or connect a chat host.
import { get, long, post } from "../api.js";
import { visible } from "../format.js";
import { go } from "../router.js";
import { first as words } from "../strings_lists.js";
import { html, useState } from "../ui.js";
import { Progress } from "./progress.js";
import { Problem, useResource } from "./resource.js";
import { Copy, Text } from "./text.js";

const SHOWN = 3;

/** Templates that need nothing to be set before they run. @param {AbortSignal} signal */
const load = async (signal) => (await get("/templates", {}, { signal })).items.filter((/** @type {any} */ one) => !one.needs.length && !one.missing.length).slice(0, SHOWN);

/** @param {{onDeployed: () => void}} properties */
export function FirstRun({ onDeployed }) {
  const { data } = useResource(load, []);
  const [state, setState] = useState(/** @type {any} */ ({}));

  const deploy = async (/** @type {any} */ template) => {
    setState({ working: template.id, progress: null });
    try {
      const deployed = await long("/deploy", { template_id: template.id }, (progress) => setState({ working: template.id, progress }));
      setState({ deployed, template });
    } catch (error) {
      setState({ error });
    }
  };
  const run = async () => {
    const { request_id } = await post(`/run_async/${state.deployed.service_id}/`, state.template.example_input ?? {});
    onDeployed();
    go(`/console/runs/${request_id}`);
  };

  return html`
    <header class="head"><h1>${words.title}</h1><p class="dim">${words.lead}</p></header>
    <${Problem} error=${state.error} />
    <section class="card">
      <header><h2>${words.deployTitle}</h2></header>
      ${state.deployed
        ? html`<p>${words.done(visible(state.deployed.name))}</p><p><button class="primary" onClick=${run}>${words.run}</button></p>`
        : html`<ul class="rows offers">${data?.map((/** @type {any} */ template) => html`<li>
            <span class="what"><strong><${Text} of=${template.title} /></strong><span class="dim"><${Text} of=${template.description} /></span></span>
            <button class=${template === data[0] ? "primary" : ""} disabled=${Boolean(state.working)} onClick=${() => deploy(template)}>${words.deploy(visible(template.title))}</button>
          </li>`)}</ul>`}
      ${state.working && html`<${Progress} of=${state.progress} label=${words.deploying} />`}
    </section>
    <section class="card">
      <header><h2>${words.connectTitle}</h2></header>
      <p class="dim">${words.connect}</p>
      ${words.hosts.map(([name, text]) => html`<h3>${name}</h3><div class="snippet"><pre tabindex="0">${text}</pre><${Copy} text=${text} /></div>`)}
    </section>`;
}
