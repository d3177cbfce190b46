// A run, live: what happened, when, what it printed and what it answered.
import { bytes, duration, money, visible } from "../format.js";
import { MODE } from "../strings.js";
import { run as words } from "./strings.js";
import { html, useEffect, useState } from "../ui.js";
import { useAction } from "../parts/action.js";
import { Log } from "../parts/log.js";
import { Problem, useResource } from "../parts/resource.js";
import { canRepeat, elapsed, isActive, isBad, statusWord } from "../parts/run_facts.js";
import { headline } from "../parts/run_head.js";
import { repeat } from "../parts/start.js";
import { Status } from "../parts/status.js";
import { now, Text } from "../parts/text.js";
import { Timeline } from "../parts/timeline.js";
import { get, post } from "./api.js";
import { state } from "./host.js";
import { nameOf } from "./names.js";
import { Reason } from "./reason.js";
import { go, shownRun } from "./router.js";

const POLL_MS = 1500;
const SHOWN = 2000;

/** @param {{id: string, first: any}} properties  `first`: the result of the call that the card is shown for. */
export function RunCard({ id: asked, first }) {
  const id = shownRun.value || asked;
  const path = encodeURIComponent(id);
  const record = useResource(() => get(`/request/${path}`), [id]);
  const trace = useResource(() => get(`/runs/${path}/trace`, { log_lines: 0 }), [id]);
  const [jump, setJump] = useState(/** @type {{at: number} | null} */ (null));
  const run = record.data?.id === id ? record.data : null;
  const bad = Boolean(run && isBad(run.status));
  const active = Boolean(run && isActive(run));
  const found = useResource(async () => (bad ? get(`/runs/${path}/diagnosis`) : null), [id, bad]);

  useEffect(() => {
    if (!active || record.error) return undefined;
    const timer = setInterval(() => {
      if (document.visibilityState !== "visible" || state.peek() === "over") return;
      record.reload();
      trace.reload();
    }, POLL_MS);
    return () => clearInterval(timer);
  }, [active, Boolean(record.error)]);

  if (!run) return html`<${Given} first=${id === asked ? first : { run_id: id }} /><${Problem} error=${record.error} retry=${record.reload} />`;
  const accepted = Date.parse(run.createdAt);
  const spans = trace.data?.run_id === id || trace.data?.spans ? trace.data : null;
  return html`
    <header class="head"><h1 class="headline"><${Status} of=${run.status} word=${false} /> ${headline(run, found.data?.diagnosis)}</h1>
      <${Facts} run=${run} cost=${spans?.cost_usd ?? run.cost} /><${Acts} run=${run} active=${active} onDone=${record.reload} /></header>
    <${Problem} error=${record.error} retry=${record.reload} />
    ${bad && html`<${Reason} run=${run} found=${found.data} />`}
    ${spans ? html`<${Timeline} trace=${spans} elapsed=${active ? now.value - accepted : null} onSpan=${(/** @type {any} */ span) => setJump({ at: accepted + span.start_ms })} />` : html`<${Problem} error=${trace.error} />`}
    <${Log} run=${id} start=${accepted} active=${active} jump=${jump} />
    ${!active && html`<${Result} run=${run} />`}`;
}

/** What the call's own result says, where more can't be loaded. @param {{first: any}} properties */
const Given = ({ first }) => first.status && html`<header class="head"><h1 class="headline"><${Status} of=${first.status} word=${false} /> ${visible(nameOf(first.workflow_id))}: ${statusWord(first.status)}</h1></header>
  ${first.error && html`<p><${Text} of=${first.error.message} /></p>`}
  ${first.logs?.length > 0 && html`<pre class="given" tabindex="0"><${Text} of=${first.logs.join("\n")} /></pre>`}
  ${first.result !== undefined && html`<pre class="given" tabindex="0"><${Text} of=${textOf(first.result).slice(0, SHOWN)} /></pre>`}`;

/** @param {{run: any, cost: number | null}} properties */
const Facts = ({ run, cost }) => html`<p class="facts"><span>${statusWord(run.status)}</span>${run.mode && html`<span>${MODE[run.mode] ?? run.mode}</span>`}
  <span>${duration(elapsed(run))}</span>${cost !== null && cost !== undefined && html`<span>${money(cost)}</span>`}</p>`;

/** @param {{run: any, active: boolean, onDone: () => void}} properties */
function Acts({ run, active, onDone }) {
  const action = useAction();
  const [sure, setSure] = useState(false);
  const cancel = () => action.run(async () => {
    await post(`/runs/${run.id}/cancel`);
    setSure(false);
    onDone();
  });
  const again = () => action.run(async () => go(`/console/runs/${await repeat(run)}`));
  return html`<div class="actions">
      ${active && !sure && html`<button class="danger" onClick=${() => setSure(true)}>${words.cancel}</button>`}
      ${active && sure && html`<button class="danger" disabled=${action.working} onClick=${cancel}>${words.cancelSure}</button><button onClick=${() => setSure(false)}>${words.keep}</button>`}
      ${!active && canRepeat(run) && html`<button disabled=${action.working} onClick=${again}>${words.again}</button>`}</div>
    <${Problem} error=${action.error} />`;
}

/** The answer as text, whatever it is. @param {{run: any}} properties */
function Result({ run }) {
  const { responseFile: file } = run;
  const text = textOf(run.responseJson ?? run.responseContent ?? "");
  if (!file && !text) return null;
  return html`<section class="card" aria-label=${words.result}><header><h2>${words.result}</h2></header>
    ${file ? html`<p>${words.file(visible(file.contentType), bytes(file.size))}</p>` : html`<pre class="given" tabindex="0"><${Text} of=${text.slice(0, SHOWN)} /></pre>`}
    ${!file && text.length > SHOWN && html`<p class="dim">${words.cut(SHOWN)}</p>`}</section>`;
}

/** @param {any} value */
const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
