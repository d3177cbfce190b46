// Runs as a table; on a phone each row is a card.
import { money } from "../format.js";
import { common, MODE } from "../strings.js";
import { runs as words } from "../strings_lists.js";
import { html } from "../ui.js";
import { hidePreview, showPreview, WorkflowLink } from "./link.js";
import { elapsed } from "./run_facts.js";
import { Status } from "./status.js";
import { Text, When } from "./text.js";

/** @param {{runs: import("./run_list.js").RunList}} properties */
export function RunTable({ runs }) {
  const items = runs.items.value ?? [];
  const selected = runs.selected.value;
  const all = items.length > 0 && items.every((run) => selected.has(run.id));
  return html`<table class="table runs">
    <caption class="hidden">${words.table}</caption>
    <thead><tr>
      <th class="check"><input type="checkbox" aria-label=${words.selectAll} checked=${all} onChange=${() => runs.select(all ? [] : items.map((run) => run.id))} /></th>
      <th>${words.columns.status}</th><th>${words.columns.workflow}</th><th>${words.columns.input}</th><th>${words.columns.trigger}</th>
      <th class="number">${words.columns.started}</th><th class="number">${words.columns.duration}</th><th class="number">${words.columns.cost}</th>
    </tr></thead>
    <tbody>${items.map((run) => html`<${Row} key=${run.id} run=${run} selected=${selected.has(run.id)} onSelect=${() => runs.toggle(run.id)} />`)}</tbody>
  </table>`;
}

/** @param {{run: import("./run_facts.js").RunRecord, selected: boolean, onSelect: () => void}} properties */
function Row({ run, selected, onSelect }) {
  const target = `/console/runs/${run.id}`;
  const preview = (/** @type {Event} */ event) => showPreview("run", run.id, /** @type {HTMLElement} */ (event.currentTarget));
  return html`<tr data-row=${run.id} class=${selected ? "selected" : ""}>
    <td class="check"><input type="checkbox" aria-label=${words.select(run.id)} checked=${selected} onChange=${onSelect} /></td>
    <td class="state"><a class="row-link" href=${target} onMouseEnter=${preview} onMouseLeave=${hidePreview} onBlur=${hidePreview} onClick=${hidePreview}><${Status} of=${run.status} /></a></td>
    <td class="name"><${WorkflowLink} id=${run.serviceId} /> <span class="dim">${run.version ? `v${run.version}` : ""}</span>${run.mode && html` <span class="tag">${MODE[run.mode] ?? run.mode}</span>`}</td>
    <td class="input"><span class="mono clip"><${Text} of=${run.inputPreview} /></span></td>
    <td class="trigger dim" title=${run.key ? words.byKey(run.key) : undefined}>${words.triggerOf[run.trigger] ?? run.trigger}</td>
    <td class="number started"><${When} at=${run.createdAt} /></td>
    <td class="number duration">${seconds(elapsed(run))}</td>
    <td class="number cost">${money(run.cost)}</td>
  </tr>`;
}

/** All in seconds, so that the durations of a column compare. @param {number | null} ms */
const seconds = (ms) => (ms === null ? common.none : `${(ms / 1000).toFixed(2)} s`);
