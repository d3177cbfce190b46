// A run on another version or on a draft: what it would do otherwise.
import { get, long } from "../api.js";
import { visible } from "../format.js";
import { common } from "../strings.js";
import { replay as words } from "../strings_dialogs.js";
import { html, useState } from "../ui.js";
import { Dialog } from "./dialog.js";
import { Progress } from "./progress.js";
import { Problem, useResource } from "./resource.js";
import { Text } from "./text.js";

/** @param {any} run @param {AbortSignal} signal @returns {Promise<{value: string, name: string}[]>} */
async function targetsOf(run, signal) {
  const [workflow, drafts] = await Promise.all([get(`/workflows/${encodeURIComponent(run.serviceId)}`, {}, { signal }), get("/drafts", {}, { signal })]);
  const own = drafts.items.filter((/** @type {any} */ draft) => draft.workflow_id === run.serviceId);
  return [
    ...own.map((/** @type {any} */ draft) => ({ value: `draft:${draft.draft_id}`, name: words.draft(visible(draft.name)) })),
    ...[...workflow.versions].sort((a, b) => b.version - a.version).map((/** @type {any} */ version) => ({ value: `version:${version.version}`, name: version.active ? words.live(version.version) : common.version(version.version) })),
  ];
}

/** @param {{run: import("./run_facts.js").RunRecord, onClose: () => void}} properties */
export function Replay({ run, onClose }) {
  const targets = useResource((signal) => targetsOf(run, signal), [run.id]);
  const [picked, setTarget] = useState("");
  // Drafts come first, then versions, the newest first: what the run has not been on yet.
  const target = picked || targets.data?.find(({ value }) => value !== `version:${run.version}`)?.value || `version:${run.version}`;
  const [state, setState] = useState(/** @type {{working?: boolean, progress?: any, result?: any, error?: any}} */ ({}));

  const start = async () => {
    setState({ working: true });
    const [kind, value] = target.split(":");
    const body = { service_id: run.serviceId, runs: [run.id], ...(kind === "draft" ? { draft_id: value } : { version: Number(value) }) };
    try {
      setState({ result: await long("/replays", body, (progress) => setState({ working: true, progress })) });
    } catch (error) {
      setState({ error });
    }
  };
  const chosen = targets.data?.find(({ value }) => value === target)?.name ?? target.replace(":", " ");
  return html`<${Dialog} title=${words.title} onClose=${onClose} wide>
    <p class="dim">${words.lead}</p>
    <${Problem} error=${targets.error ?? state.error} />
    <label>${words.on} <select value=${target} onChange=${(/** @type {any} */ event) => setTarget(event.target.value)}>
      ${targets.data?.map(({ value, name }) => html`<option value=${value} selected=${value === target}>${name}</option>`)}</select></label>
    <div class="actions"><button class="primary" disabled=${Boolean(state.working)} onClick=${start}>${words.start(chosen)}</button></div>
    ${state.working && html`<${Progress} of=${state.progress ?? null} label=${words.title} />`}
    ${state.result && html`<pre class="replayed" tabindex="0"><${Text} of=${state.result.problem || state.result.text} /></pre>`}
  <//>`;
}
