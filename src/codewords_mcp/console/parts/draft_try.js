// A draft on an input of one's own, and on recorded runs: what it would do, and nothing is sent.
import { long } from "../api.js";
import { isJson } from "../format.js";
import { trial as words } from "../strings_drafts.js";
import { html, useState } from "../ui.js";
import { RouteForm } from "./form.js";
import { JsonTree } from "./json.js";
import { Progress } from "./progress.js";
import { Problem } from "./resource.js";
import { Text } from "./text.js";

/** @typedef {{progress?: any, working?: boolean, result?: any, error?: any}} Work */

/** Replay, with progress. @param {any} state @param {any} body @param {(work: Work) => void} tell */
async function replay(state, body, tell) {
  tell({ working: true });
  try {
    if ((state.changed || !state.open.draft) && !(await state.save())) {
      tell({});
      return;
    }
    const draft_id = state.stored().draft_id;
    tell({ result: await long("/replays", { draft_id, ...body }, (progress) => tell({ working: true, progress })) });
  } catch (error) {
    tell({ error });
  }
}

/** @param {{state: any, name: string}} properties */
export function Try({ state, name }) {
  const [work, setWork] = useState(/** @type {Work} */ ({}));
  const unsaved = state.changed || !state.open.draft;
  const routes = state.open.draft?.routes ?? [];
  const route = routes.find((/** @type {any} */ one) => one.method === "POST" && one.path === "/") ?? routes.find((/** @type {any} */ one) => one.method === "POST");
  const subject = { ...state.open.draft, name };
  return html`
    <section class="card run-form" aria-label=${words.title}><header><h2>${words.title}</h2></header><p class="dim">${words.lead}</p>
      ${route ? html`<${RouteForm} key=${JSON.stringify(route.input)} workflow=${subject} route=${route} instead=${{ label: unsaved ? words.saveRun : words.run, hint: words.hint, run: (/** @type {any} */ input) => replay(state, { input }, setWork) }} />`
        : html`<p>${words.noRoutes}</p>${unsaved && html`<button class="primary" disabled=${state.saving} onClick=${() => state.save()}>${words.save}</button>`}`}</section>
    <${Outcome} work=${work} label=${words.working} />
    ${state.open.workflow && html`<${Recorded} state=${state} unsaved=${unsaved} />`}`;
}

/** @param {{work: Work, label: string}} properties */
function Outcome({ work, label }) {
  if (work.working) return html`<${Progress} of=${work.progress ?? null} label=${label} />`;
  if (work.error) return html`<${Problem} error=${work.error} />`;
  const [run] = work.result?.report?.runs ?? [];
  if (!run) return null;
  return html`<section class="card" role="status" aria-label=${words.answer}>
    <h3>${words.answer}</h3><div class="answer">${isJson(run.answer) ? html`<${JsonTree} value=${JSON.parse(run.answer)} />` : html`<pre tabindex="0"><${Text} of=${run.answer} /></pre>`}</div>
    <h3 class="below">${words.writes}</h3>${run.would_write.length ? html`<ul class="facts-list mono">${run.would_write.map((/** @type {string} */ one) => html`<li><${Text} of=${one} /></li>`)}</ul>` : html`<p>${words.noWrites}</p>`}
    <h3 class="below">${words.compared}</h3><${Verdict} result=${work.result} /></section>`;
}

/** @param {{result: any}} properties */
const Verdict = ({ result }) => html`<p><strong>${words.verdicts[result.report.verdict] ?? result.report.verdict}</strong></p>
  <pre class="replayed" tabindex="0"><${Text} of=${result.text} /></pre>`;

/** @param {{state: any, unsaved: boolean}} properties */
function Recorded({ state, unsaved }) {
  const [work, setWork] = useState(/** @type {Work} */ ({}));
  return html`<section class="card"><header><h2>${words.recorded}</h2></header><p class="dim">${words.recordedLead}</p>
    <div class="actions"><button disabled=${Boolean(work.working)} onClick=${() => replay(state, {}, setWork)}>${unsaved ? words.saveReplay : words.replay}</button></div>
    ${work.working && html`<${Progress} of=${work.progress ?? null} label=${words.replaying} />`}
    <${Problem} error=${work.error} />
    ${work.result?.report && html`<div class="below" role="status"><${Verdict} result=${work.result} /></div>`}</section>`;
}
