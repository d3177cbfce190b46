// Settings: whether everything works, chat hosts, agreements, and the person's Chrome.
import { get } from "../api.js";
import { bytes, count } from "../format.js";
import { PAGE_NAMES } from "../strings.js";
import { settings as words } from "../strings_pages.js";
import { html } from "../ui.js";
import { AlertSettings } from "../parts/alert_settings.js";
import { Agreements, OwnChrome } from "../parts/personal.js";
import { Problem, useResource } from "../parts/resource.js";
import { Copy, Prose, Text, useTitle } from "../parts/text.js";

export default function Settings() {
  useTitle(PAGE_NAMES.settings);
  const { data, error, reload } = useResource((signal) => get("/status", {}, { signal }), []);
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  const { problems } = data;
  return html`
    <header class="head"><h1>${headline(data)}</h1></header>
    ${problems.map((/** @type {any} */ problem) => html`<${Problem} error=${typeof problem === "string" ? { message: problem } : { message: problem.sentence ?? problem.message, hint: problem.fix ?? problem.hint }} />`)}
    <div class="tiles">
      <div><${Health} status=${data} /><${Hosts} url=${data.base_url} /><${AlertSettings} /></div>
      <div><${Isolation} sandbox=${data.sandbox} /><${OwnChrome} /><${Agreements} /></div>
    </div>`;
}

/** @param {any} status */
function headline({ problems, providers }) {
  if (problems.length) return words.problems(problems.length);
  return providers.length ? words.works : words.noModels;
}

/** @param {{status: any}} properties */
function Health({ status }) {
  const providers = status.providers.map((/** @type {any} */ one) => one.name ?? one.provider ?? one);
  /** @type {[string, unknown][]} */
  const facts = [
    [words.facts.version, status.version], [words.facts.address, status.base_url], [words.facts.home, status.home],
    [words.facts.store, `${status.store.kind}, ${bytes(status.store.bytes)}`], [words.facts.free, bytes(status.store.disk_free)],
    [words.facts.workflows, count(status.workflows)], [words.facts.runs, count(status.runs.recorded)],
    [words.facts.recordings, `${count(status.recordings.count)}, ${bytes(status.recordings.bytes)}`],
    [words.facts.providers, providers.length ? providers.join(", ") : words.noProviders], [words.facts.consent, status.consent],
  ];
  return html`<section class="card"><header><h2>${words.health}</h2></header>
    <dl class="pairs">${facts.map(([name, value]) => html`<dt>${name}</dt><dd><${Text} of=${value} /></dd>`)}</dl>
    <p class="dim"><${Prose} of=${status.availability?.sentence ?? ""} /></p>
    <p><a href="/console/members">${words.access}</a></p><p><a href="/console/audit">${words.audit}</a></p></section>`;
}

/** @param {{sandbox: any}} properties */
const Isolation = ({ sandbox }) => html`<section class="card"><header><h2>${words.isolation}</h2><span class="tag">${sandbox.tier}</span></header>
  <p><strong><${Text} of=${sandbox.title} /></strong></p>
  <ul class="facts-list">${sandbox.facts.map((/** @type {string} */ fact) => html`<li><${Text} of=${fact} /></li>`)}</ul>
  ${sandbox.fix && html`<p class="dim"><${Prose} of=${sandbox.fix} /></p>`}</section>`;

/** @param {{url: string}} properties */
const Hosts = ({ url }) => html`<section class="card"><header><h2>${words.hosts}</h2></header>
  <p class="dim">${words.hostsLead}</p>
  ${words.snippets.map(([name, text]) => html`<h3>${name}</h3><div class="snippet"><pre tabindex="0">${text(url)}</pre><${Copy} text=${text(url)} /></div>`)}</section>`;
