// The head of a run: the headline in plain words, its facts, and what can be done.
import { duration, money, shortId, ticking, visible } from "../format.js";
import { common, MODE, PAGE_NAMES, run as words, WAITS } from "../strings.js";
import { html } from "../ui.js";
import { RunLink, WorkflowLink } from "./link.js";
import { nameOf } from "./names.js";
import { canRepeat, elapsed, isActive } from "./run_facts.js";
import { Status } from "./status.js";
import { Copy, Text, When } from "./text.js";

/** @typedef {import("./run_facts.js").RunRecord} RunRecord */

/** What happened, in plain words. @param {RunRecord} run @param {any} diagnosis */
export function headline(run, diagnosis) {
  const name = visible(nameOf(run.serviceId));
  const time = isActive(run) ? ticking(elapsed(run)) : duration(elapsed(run));
  const step = diagnosis?.step ?? run.steps?.at(-1)?.id;
  switch (run.status) {
    case "succeeded": return words.succeeded(name, time);
    case "running": return step ? words.step(words.running(name, time), visible(step)) : words.running(name, time);
    case "starting": return words.starting(name);
    case "queued": return words.waiting(name, WAITS[run.waitsFor] ?? WAITS.turn);
    case "provisioned": return words.expected(name);
    case "cancelled": return words.cancelled(time);
    default: return failedWords(run, diagnosis, step, time);
  }
}

/** Why a run failed: the error in its own words, and the step. @param {RunRecord} run @param {any} diagnosis */
export function failureWords(run, diagnosis) {
  const what = run.responseStatus === 422 ? words.badInput : diagnosis?.error ?? run.error?.message ?? "";
  return diagnosis?.step ? words.step(what, diagnosis.step) : what;
}

/** @param {RunRecord} run @param {any} diagnosis @param {string | undefined} step @param {string} time */
function failedWords(run, diagnosis, step, time) {
  if (run.responseStatus === 422) return words.badInput;
  const type = /^[\w.]+(?=:|$)/.exec(diagnosis?.error ?? "")?.[0]?.split(".").at(-1);
  const what = type ?? { timed_out: words.timedOut(time), interrupted: words.interrupted(time) }[/** @type {string} */ (run.status)] ?? visible(run.error?.message ?? run.status).replace(/\.$/, "");
  return step ? words.step(what, visible(step)) : what;
}

/**
 * @param {object} properties
 * @param {RunRecord} properties.run
 * @param {any} properties.diagnosis
 * @param {number | null} properties.cost
 * @param {(action: string) => void} properties.onAction
 */
export function RunHead({ run, diagnosis, cost, onAction }) {
  const active = isActive(run);
  return html`<header class="head">
    <nav class="crumbs" aria-label=${PAGE_NAMES.runs}><a href="/console/runs">${PAGE_NAMES.runs}</a><span aria-hidden="true">/</span><${WorkflowLink} id=${run.serviceId} /></nav>
    <h1 class="headline"><${Status} of=${run.status} word=${false} /> ${headline(run, diagnosis)}</h1>
    <dl class="facts">
      <${Fact} name=${words.facts.version}>${common.version(run.version ?? common.none)}<//>
      <${Fact} name=${words.facts.trigger}><${Trigger} run=${run} /><//>
      <${Fact} name=${words.facts.started}><${When} at=${run.startedAt ?? run.createdAt} /><//>
      <${Fact} name=${words.facts.duration}>${active ? ticking(elapsed(run)) : duration(elapsed(run))}<//>
      ${(cost ?? run.cost) !== null && html`<${Fact} name=${words.facts.cost}>${money(cost ?? run.cost)}<//>`}
      ${run.isolation && html`<${Fact} name=${words.facts.isolation}>${words.isolation(run.isolation)}<//>`}
      ${run.mode && html`<${Fact} name=${words.facts.mode}>${MODE[run.mode] ?? run.mode}${run.modeOf && html` <${RunLink} id=${run.modeOf} />`}<//>`}
      <${Fact} name=${words.facts.id}><span class="mono" title=${run.id}>${shortId(run.id)}</span><${Copy} text=${run.id} /><//>
    </dl>
    <div class="actions">
      ${active ? html`<button class="danger" onClick=${() => onAction("cancel")}>${words.cancelRun}</button>` : html`
        ${canRepeat(run) && html`<button class="primary" onClick=${() => onAction("again")}>${words.again}</button>`}
        ${run.serviceId && html`<button onClick=${() => onAction("edit")}>${words.edit}</button><button onClick=${() => onAction("dry")}>${words.dryRun}</button><button onClick=${() => onAction("replay")}>${words.replay}</button>`}`}
    </div>
  </header>`;
}

/** @param {{name: string, children?: unknown}} properties */
const Fact = ({ name, children }) => html`<div title=${name}><dt>${name}</dt><dd>${children}</dd></div>`;

/** @param {{run: RunRecord}} properties */
function Trigger({ run }) {
  if (run.scheduledRequestId) return html`<a href="/console/schedules">${words.schedule}</a>`;
  if (run.parentRequestId) return html`<${RunLink} id=${run.parentRequestId}>${words.byRun}<//>`;
  return html`<${Text} of=${run.trigger?.kind ?? words.caller} />`;
}
