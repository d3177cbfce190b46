// Templates: workflows to start from, what each needs, and deploying one.
import { get, long } from "../api.js";
import { visible } from "../format.js";
import { address, href, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { templates as words } from "../strings_workflows.js";
import { html, useState } from "../ui.js";
import { CodeBlock } from "../parts/code.js";
import { Consent, questionOr } from "../parts/consent.js";
import { Dialog } from "../parts/dialog.js";
import { Search } from "../parts/narrow.js";
import { Progress } from "../parts/progress.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Text, useTitle } from "../parts/text.js";

/** @param {AbortSignal} signal */
const load = async (signal) => (await get("/templates", {}, { signal })).items;

/** @param {any} template @param {string} query */
const matches = (template, query) => query.toLowerCase().split(/\s+/).every((word) => [template.title, template.description, template.category, ...template.services, ...template.needs].join("\n").toLowerCase().includes(word));

export default function Templates() {
  useTitle(PAGE_NAMES.templates);
  const { data, error, reload } = useResource(load, [], changesOf("secrets", "workflows"));
  const [shown, setShown] = useState(/** @type {any} */ (null));
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;

  const { query } = address.value;
  const wanted = { q: query.get("q") ?? "", category: query.get("category") ?? "" };
  const categories = [...new Set(data.map((/** @type {any} */ one) => one.category).filter(Boolean))].sort();
  const found = data.filter((/** @type {any} */ one) => (!wanted.category || one.category === wanted.category) && matches(one, wanted.q));
  return html`
    <header class="head"><h1>${words.headline(found.length)}</h1></header>
    <${Problem} error=${error} retry=${reload} />
    <div class="narrowing"><${Search} label=${words.search} value=${wanted.q} onChange=${(/** @type {string} */ q) => setQuery({ q: q || null })} />
      <select aria-label=${words.category} onChange=${(/** @type {any} */ event) => setQuery({ category: event.target.value || null })}><option value="">${words.all}</option>${categories.map((one) => html`<option value=${one} selected=${one === wanted.category}>${visible(one)}</option>`)}</select></div>
    ${found.length ? html`<ul class="gallery">${found.map((/** @type {any} */ one) => html`<li key=${one.id} class="card"><${Template} template=${one} onCode=${() => setShown(one)} /></li>`)}</ul>`
      : html`<div class="card empty"><p>${words.none}</p><button onClick=${() => setQuery({ q: null, category: null })}>${words.clear}</button></div>`}
    ${shown && html`<${Dialog} title=${words.codeTitle(visible(shown.title))} onClose=${() => setShown(null)} wide><${CodeBlock} text=${shown.code} label=${words.codeTitle(visible(shown.title))} /><//>`}`;
}

/** @param {{template: any, onCode: () => void}} properties */
function Template({ template, onCode }) {
  const [state, setState] = useState(/** @type {{working?: boolean, progress?: any, error?: any, question?: import("../parts/consent.js").Question, done?: any}} */ ({}));
  const name = visible(template.title);
  const deploy = async (/** @type {string | null} */ confirm) => {
    setState({ working: true });
    try {
      const body = { template_id: template.id, ...(confirm ? { confirm } : {}) };
      setState({ done: await long("/deploy", body, (progress) => setState({ working: true, progress })) });
    } catch (problem) {
      setState(questionOr(problem));
    }
  };
  return html`
    <h2><${Text} of=${template.title} /></h2>
    <p class="dim"><${Text} of=${template.description} /></p>
    <${Needs} template=${template} />
    <${Problem} error=${state.error} />
    ${state.working && html`<${Progress} of=${state.progress ?? null} label=${words.deploying} />`}
    ${state.done ? html`<p class="good" role="status">${words.done(visible(state.done.name))}</p><div class="actions"><a class="button primary" href=${`/console/workflows/${encodeURIComponent(state.done.service_id)}`}>${words.open(visible(state.done.name))}</a></div>`
      : html`<div class="actions"><button class="primary" disabled=${Boolean(state.working)} aria-label=${words.deploy(name)} onClick=${() => deploy(null)}>${words.deployShort}</button><button aria-label=${words.codeOf(name)} onClick=${onCode}>${words.code}</button><a class="button" aria-label=${words.editOf(name)} href=${href("/console/drafts/new", { template: template.id })}>${words.edit}</a></div>`}
    ${state.question && html`<${Consent} question=${state.question} act=${words.deployIt(name)} onAgree=${() => deploy(state.question?.confirm ?? null)} onClose=${() => setState({})} />`}`;
}

/** @param {{template: any}} properties */
const Needs = ({ template }) => html`<p class="needs">${template.needs.map((/** @type {string} */ one) => html`<span class=${template.missing.includes(one) ? "tag unset" : "tag"} title=${template.missing.includes(one) ? words.missing : ""}>${words.needs} <${Text} of=${one} /></span> `)}
  ${template.services.map((/** @type {string} */ one) => html`<span class="tag">${words.services} <${Text} of=${one} /></span> `)}${!template.missing.length && html`<span class="tag good">${words.ready}</span>`}</p>`;
