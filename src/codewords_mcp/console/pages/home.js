// Home: what needs the person, what failed, what runs, what comes, and what was spent.
import { get } from "../api.js";
import { href } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { home as words } from "../strings_lists.js";
import { html, useRef } from "../ui.js";
import { Alerts, isOpen, loadAlerts } from "../parts/alerts.js";
import { FirstRun } from "../parts/first_run.js";
import { RunLink, WorkflowLink } from "../parts/link.js";
import { failureWords } from "../parts/run_head.js";
import { loadWorkflows, workflows } from "../parts/names.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { Spending } from "../parts/spending.js";
import { Status } from "../parts/status.js";
import { now, Text, useTitle, When } from "../parts/text.js";
import { waiting, waitingCount } from "../parts/waiting.js";
import { dayTime, exact } from "../format.js";

const DAY_MS = 86_400_000;
const ACTIVE = ["running", "starting", "queued"];
const BAD = ["failed", "timed_out", "interrupted"];
const SHOWN = 6;

/** @param {string[]} statuses @param {AbortSignal} signal */
async function runsOf(statuses, signal) {
  const pages = await Promise.all(statuses.map((status) => get("/runs", { status, limit: 20 }, { signal })));
  const runs = pages.flatMap((page) => page.items);
  return runs.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
}

/** @param {AbortSignal} signal */
async function load(signal) {
  const [bad, active, schedules, any, alerts] = await Promise.all([
    runsOf(BAD, signal), runsOf(ACTIVE, signal), get("/schedules", { limit: 20 }, { signal }), get("/runs", { limit: 1 }, { signal }), loadAlerts(signal),
  ]);
  return { bad, active, alerts: alerts.filter(isOpen), schedules: schedules.items.filter((/** @type {any} */ one) => one.next_at && !one.paused), unused: !any.items.length };
}

export default function Home() {
  useTitle(PAGE_NAMES.home);
  const { data, error, reload } = useResource(load, [], changesOf("run", "schedules", "workflows", "inbox"));
  const begins = useRef(false);
  if (error && !data) return html`<${Problem} error=${error} retry=${reload} />`;
  if (!data || !workflows.value || !waiting.value) return null;

  // What it deploys is a workflow: it stays until something has run.
  begins.current = data.unused && (begins.current || !workflows.value.size);
  if (begins.current) return html`<${FirstRun} onDeployed=${loadWorkflows} />`;

  const failed = data.bad.filter((run) => now.peek() - Date.parse(run.createdAt) < DAY_MS).length;
  // These have no sandbox meanwhile: a person or a time wakes them.
  const standing = data.active.filter(({ waitsFor }) => waitsFor === "answer" || waitsFor === "wait").length;
  const needing = waitingCount.value + data.alerts.length;
  return html`
    <header class="head">
      <h1>${needing ? words.needsYou(needing) : words.nothingNeedsYou}</h1>
      <p class="dim">${sentence([words.running(data.active.length - standing), ...(standing ? [words.waiting(standing)] : []), words.failed(failed)])}</p>
    </header>
    ${waitingCount.value > 0 && html`<${Inbox} />`}
    <${Alerts} items=${data.alerts.slice(0, SHOWN)} reload=${reload} heading=${html`<a href="/console/inbox">${PAGE_NAMES.inbox}</a>`} />
    <div class="tiles">
      <div>
        <${Card} title=${words.failures} more=${[words.allFailed, href("/console/runs", { status: "failed" })]} empty=${words.noFailures}
          items=${data.bad.slice(0, SHOWN).map((run) => html`<${RunRow} run=${run} />`)} />
        <${Card} title=${words.next} more=${[PAGE_NAMES.schedules, "/console/schedules"]} empty=${words.noNext}
          items=${data.schedules.slice(0, SHOWN).map((/** @type {any} */ schedule) => html`<${NextRow} schedule=${schedule} />`)} />
      </div>
      <div>
        <${Card} title=${words.active} more=${[words.allRuns, "/console/runs"]} empty=${words.noActive}
          items=${data.active.slice(0, SHOWN).map((run) => html`<${RunRow} run=${run} />`)} />
        <${Spending} />
      </div>
    </div>`;
}

/** @param {string[]} parts */
const sentence = (parts) => {
  const text = parts.join(", ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
};

/** @param {{title: string, more: string[], empty: string, items: unknown[]}} properties */
const Card = ({ title, more, empty, items }) => html`<section class="card">
  <header><h2>${title}</h2><a href=${more[1]}>${more[0]}</a></header>
  ${items.length ? html`<ul class="rows">${items}</ul>` : html`<p class="dim">${empty}</p>`}
</section>`;

const Inbox = () => html`<section class="card attention">
  <header><h2>${words.inbox}</h2></header>
  <ul class="rows">${waiting.value?.map((page) => html`<li>
    <span class="what"><a href=${page.path}><${Text} of=${page.title} /></a></span>
    <span class="dim" title=${exact(page.expires_at)}>${words.expires(dayTime(page.expires_at, now.peek()))}</span></li>`)}</ul>
</section>`;

/** @param {{run: any}} properties */
const RunRow = ({ run }) => html`<li>
  <span class="what"><${RunLink} id=${run.id}><${Status} of=${run.status} word=${false} /> <${WorkflowName} id=${run.serviceId} /><//>
    ${run.error && html`<${Reason} run=${run} />`}</span>
  <span class="dim"><${When} at=${run.createdAt} /></span></li>`;

/** Why it failed, in its own words as soon as they are known. @param {{run: any}} properties */
function Reason({ run }) {
  const { data } = useResource((signal) => get(`/runs/${run.id}/diagnosis`, {}, { signal, quiet: true }), [run.id]);
  return html`<span class="dim clip"><${Text} of=${failureWords(run, data?.diagnosis)} /></span>`;
}

/** @param {{id: string}} properties */
const WorkflowName = ({ id }) => html`<${Text} of=${workflows.value?.get(id)?.name ?? id} />`;

/** @param {{schedule: any}} properties */
const NextRow = ({ schedule }) => html`<li>
  <span class="what"><${WorkflowLink} id=${schedule.service_id} /><span class="dim clip"><${Text} of=${schedule.name || schedule.cron || ""} /></span></span>
  <span class="dim"><${When} at=${schedule.next_at} /></span></li>`;
