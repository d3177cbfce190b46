// Why a run failed: the error, the code around it, the likely fix, and what was refused.
import { post } from "../api.js";
import { dayTime, exact } from "../format.js";
import { go, href } from "../router.js";
import { failure as words } from "../strings.js";
import { html, useState } from "../ui.js";
import { lazy } from "./lazy.js";
import { RunLink } from "./link.js";
import { Problem } from "./resource.js";
import { now, Prose, Text } from "./text.js";

const Resume = lazy(async () => (await import("./resume.js")).Resume);
const NAMED = /\b([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b|\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))/;
const CODE_LINE = /^(>?)\s*(\d+) ?(.*)$/;

/**
 * @param {object} properties
 * @param {import("./run_facts.js").RunRecord} properties.run
 * @param {any} properties.found  The answer of `GET /runs/{run_id}/diagnosis`; undefined until it is there.
 * @param {() => void} properties.onEdit
 * @param {() => void} properties.onAgain
 */
export function Failure({ run, found, onEdit, onAgain }) {
  const diagnosis = found?.diagnosis;
  const error = run.error ?? {};
  const fix = diagnosis?.fix || error.hint;
  return html`<section class="card failure" aria-label=${words.title}>
    <p class="error"><${Text} of=${diagnosis?.error ?? error.message ?? ""} /></p>
    ${error.origin === "platform" && html`<p class="dim">${words.platform}</p>`}
    ${run.responseStatus === 422 && html`<${Misfits} answer=${run.responseJson} />`}
    ${diagnosis?.around && html`<${Around} text=${diagnosis.around} />`}
    ${diagnosis?.at?.length > 1 && html`<ul class="mono dim">${diagnosis.at.map((/** @type {string} */ frame) => html`<li class="clip"><${Text} of=${frame} /></li>`)}</ul>`}
    ${fix && html`<p><strong>${words.fix}.</strong> <${Prose} of=${fix} /></p>`}
    ${diagnosis?.since && html`<p class="dim"><${Linked} text=${diagnosis.since} /></p>`}
    ${found?.refused?.length > 0 && html`<div class="refused"><h2>${words.refused}</h2><p class="dim">${words.refusedNote}</p>
      <ul class="mono">${found.refused.map((/** @type {string} */ line) => html`<li><${Text} of=${line} /></li>`)}</ul></div>`}
    ${lineOf(diagnosis) > 0 && html`<p><a href=${href("/console/drafts/new", { workflow: run.serviceId, line: lineOf(diagnosis) })}>${words.code(lineOf(diagnosis))}</a></p>`}
    <${Next} run=${run} found=${found} onEdit=${onEdit} onAgain=${onAgain} />
  </section>`;
}

/** The line of the code that failed; 0 where it is not known. @param {any} diagnosis */
const lineOf = (diagnosis) => Number(/^>\s*(\d+)/m.exec(diagnosis?.around ?? "")?.[1] ?? 0);

/** The lines of code, the one that failed marked. @param {{text: string}} properties */
export const Around = ({ text }) => html`<pre class="around" tabindex="0" aria-label=${words.around}>${text.split("\n").map((line) => {
  const [, at, number, code] = CODE_LINE.exec(line) ?? ["", "", "", line];
  return html`<span class=${at ? "at" : ""}><i>${number}</i><${Text} of=${code} /></span>`;
})}</pre>`;

/** What FastAPI says of an input that does not fit. @param {{answer: any}} properties */
function Misfits({ answer }) {
  if (!Array.isArray(answer?.detail)) return null;
  return html`<ul class="mono">${answer.detail.slice(0, 10).map((/** @type {any} */ one) => html`
    <li><strong><${Text} of=${(one.loc ?? []).slice(1).join(".")} /></strong> <${Text} of=${one.msg ?? ""} /></li>`)}</ul>`;
}

/** A sentence of the API: runs that it names are links, and its times are in the person's zone. @param {{text: string}} properties */
const Linked = ({ text }) => text.split(NAMED).map((part, n) => {
  // Between two texts stand a run or a time, whichever was found, and the other one empty.
  if (!part) return null;
  if (n % 3 === 1) return html`<${RunLink} id=${part} />`;
  if (n % 3 === 2) return html`<time datetime=${part} title=${exact(part)}>${dayTime(part, now.value)}</time>`;
  return html`<${Text} of=${part} />`;
});

/** @param {{run: import("./run_facts.js").RunRecord, found: any, onEdit: () => void, onAgain: () => void}} properties */
function Next({ run, found, onEdit, onAgain }) {
  const [error, setError] = useState(/** @type {any} */ (null));
  const enterSecret = async () => {
    try {
      const { url } = await post(`/secrets/${encodeURIComponent(found.secret)}/entry`, {});
      location.assign(new URL(url).pathname);
    } catch (problem) {
      setError(problem);
    }
  };
  if (run.error?.code === "write_unknown") return html`<div class="opened"><${Resume} run=${run} onDone=${(/** @type {{runId: string}} */ { runId }) => go(`/console/runs/${runId}`)} /></div>`;
  const buttons = [];
  if (found?.secret) buttons.push(html`<button class="primary" onClick=${enterSecret}>${words.secret(found.secret)}</button>`);
  else if (found?.next_step === "input") buttons.push(html`<button class="primary" onClick=${onEdit}>${words.input}</button>`);
  else if (found?.next_step === "again") buttons.push(html`<button class="primary" onClick=${onAgain}>${words.again}</button>`);
  return html`<${Problem} error=${error} />${buttons.length > 0 && html`<div class="actions">${buttons}</div>`}`;
}
