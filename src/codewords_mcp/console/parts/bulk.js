// What is done with the selected runs: each button says what it will do to how many.
import { get, post } from "../api.js";
import { runs as words } from "../strings_lists.js";
import { html, useState } from "../ui.js";
import { isActive } from "./run_facts.js";
import { repeat } from "./start.js";

const AT_ONCE = 4;

/** @param {{runs: import("./run_list.js").RunList}} properties */
export function BulkBar({ runs }) {
  const [note, setNote] = useState("");
  const selected = (runs.items.value ?? []).filter((run) => runs.selected.value.has(run.id));
  const active = selected.filter(isActive);
  const repeatable = selected.filter((run) => run.serviceId && !isActive(run) && run.inputKept && !run.requestTruncated);

  const each = async (/** @type {any[]} */ items, /** @type {(run: any) => Promise<unknown>} */ act) => {
    let done = 0;
    let bad = 0;
    const queue = [...items];
    const work = async () => {
      for (let run = queue.shift(); run; run = queue.shift()) {
        try {
          await act(run);
          done += 1;
        } catch {
          bad += 1;
        }
        setNote(words.done(done, bad));
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  };

  return html`<div class="bulk" role="region" aria-label=${words.selected(selected.length)}>
    <span>${words.selected(selected.length)}</span>
    ${active.length > 0 && html`<button class="danger" onClick=${() => each(active, (run) => post(`/runs/${run.id}/cancel`))}>${words.cancelMany(active.length)}</button>`}
    ${repeatable.length > 0 && html`<button onClick=${() => each(repeatable, async (run) => repeat(await get(`/request/${run.id}`)))}>${words.againMany(repeatable.length)}</button>`}
    <button class="plain" onClick=${() => runs.select([])}>${words.unselect}</button>
    <span role="status" class="dim">${note}</span>
  </div>`;
}
