// A run: what happened and why, when, what it printed, its input and its answer.
import { get } from "../api.js";
import { run as words } from "../strings.js";
import { html, useEffect, useState } from "../ui.js";
import { Answer, Input } from "../parts/answer.js";
import { lazy } from "../parts/lazy.js";
import { Log } from "../parts/log.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { isActive, isBad } from "../parts/run_facts.js";
import { headline, RunHead } from "../parts/run_head.js";
import { now, Text, useTitle } from "../parts/text.js";
import { Timeline } from "../parts/timeline.js";
import { go } from "../router.js";

const Failure = lazy(async () => (await import("../parts/failure.js")).Failure);
const Again = lazy(async () => (await import("../parts/again.js")).Again);
const CancelRun = lazy(async () => (await import("../parts/again.js")).CancelRun);
const Replay = lazy(async () => (await import("../parts/replay.js")).Replay);
const Writes = lazy(async () => (await import("../parts/writes.js")).Writes);
const Question = lazy(async () => (await import("../parts/question.js")).Question);
const Attempts = lazy(async () => (await import("../parts/attempts.js")).Attempts);

/** How often the timeline of a run that goes on is loaded again. */
const POLL_MS = 2000;

/** The question that a run asks a person now. @param {string} path @param {AbortSignal} signal */
const openQuestion = async (path, signal) => (await get(`/runs/${path}/approvals`, {}, { signal, quiet: true })).items.find((/** @type {any} */ one) => one.status === "open") ?? null;

/** @param {{parameters: string[]}} properties */
export default function Run({ parameters: [id] }) {
  const path = encodeURIComponent(id);
  const concerns = (/** @type {import("../api.js").Change} */ { name, data }) => name === "run" && data.id === id;
  const record = useResource((signal) => get(`/request/${path}`, {}, { signal, quiet: true }), [id], concerns);
  const trace = useResource((signal) => get(`/runs/${path}/trace`, { log_lines: 0 }, { signal, quiet: true }), [id], concerns);
  const run = record.data;
  const bad = run && isBad(run.status);
  const active = Boolean(run && isActive(run));
  const found = useResource(async (signal) => (bad ? get(`/runs/${path}/diagnosis`, {}, { signal }) : null), [id, bad]);
  const asked = useResource(async (signal) => (active ? openQuestion(path, signal) : null), [id, active], changesOf("run", "inbox"));
  const [dialog, setDialog] = useState("");
  const [jump, setJump] = useState(/** @type {{at: number} | null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));

  useEffect(() => {
    if (!active) return undefined;
    const timer = setInterval(() => {
      if (document.visibilityState !== "visible") return;
      record.reload();
      trace.reload();
    }, POLL_MS);
    return () => clearInterval(timer);
  }, [active]);

  // Its sandbox may stay for a while after it asked: it waits all the same.
  const shown = run && asked.data ? { ...run, status: "queued", waitsFor: "answer" } : run;
  useTitle(shown ? headline(shown, found.data?.diagnosis) : words.facts.id);
  if (!run || !shown) return html`<${Problem} error=${record.error} retry=${record.reload} all=${["/console/runs", words.all]} />`;

  const act = async (/** @type {string} */ action) => {
    if (action !== "again") {
      setDialog(action);
      return;
    }
    try {
      const { repeat } = await import("../parts/start.js");
      go(`/console/runs/${await repeat(run)}`);
    } catch (error) {
      setProblem(error);
    }
  };
  const accepted = Date.parse(run.createdAt);
  return html`
    <${RunHead} run=${shown} diagnosis=${found.data?.diagnosis} cost=${trace.data?.cost_usd ?? null} onAction=${act} />
    <${Problem} error=${problem ?? record.error} />
    ${bad && html`<${Failure} run=${run} found=${found.data} onEdit=${() => setDialog("edit")} onAgain=${() => act("again")} />`}
    ${asked.data && html`<section class="card attention"><header><h2><${Text} of=${asked.data.title} /></h2></header><${Question} token=${asked.data.id} onDone=${() => { asked.reload(); record.reload(); }} /></section>`}
    ${run.mode === "dry_run" && !active && html`<${Writes} run=${run} />`}
    ${trace.data ? html`<${Timeline} trace=${trace.data} elapsed=${active ? now.value - accepted : null} onSpan=${(/** @type {any} */ span) => setJump({ at: accepted + span.start_ms })} />` : html`<${Problem} error=${trace.error} />`}
    <div class="columns">
      <${Log} run=${id} start=${accepted} active=${active} jump=${jump} />
      <div>
        ${!active && html`<${Answer} run=${run} />`}
        <${Input} run=${run} active=${active} />
        ${run.attempts.length > 1 && html`<${Attempts} attempts=${run.attempts} />`}
      </div>
    </div>
    ${(dialog === "edit" || dialog === "dry") && html`<${Again} run=${run} dry=${dialog === "dry"} onClose=${() => setDialog("")} />`}
    ${dialog === "cancel" && html`<${CancelRun} run=${run} onClose=${() => setDialog("")} />`}
    ${dialog === "replay" && html`<${Replay} run=${run} onClose=${() => setDialog("")} />`}`;
}
