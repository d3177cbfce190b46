// A run that does not know whether its writes were carried out: each of them, and going on by what a person says.
import { get, post } from "../api.js";
import { exact } from "../format.js";
import { failure } from "../strings.js";
import { inbox as words } from "../strings_pages.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { RunLink } from "./link.js";
import { Problem, useResource } from "./resource.js";
import { Text } from "./text.js";


/** @param {{run: any, onDone: (done: import("./question.js").Done) => void}} properties */
export function Resume({ run, onDone }) {
  const path = `/runs/${encodeURIComponent(run.id)}/resume`;
  const { data, error, reload } = useResource((signal) => get(path, {}, { signal }), [run.id]);
  const [said, setSaid] = useState(/** @type {Record<number, boolean>} */ ({}));
  const action = useAction();
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  if (data.resumed_by) return html`<p>${words.goesOn} <${RunLink} id=${data.resumed_by} /></p>`;

  const answer = (/** @type {Record<number, boolean>} */ given) => action.run(async () => {
    const writes = Object.entries(given).map(([number, sent]) => ({ number: Number(number), sent }));
    const next = await post(path, { writes });
    onDone({ message: words.goesOn, runId: next.id });
  });
  const [first] = data.writes;
  const again = data.writes.filter((/** @type {any} */ one) => said[one.number] === false).length;
  const whole = data.writes.every((/** @type {any} */ one) => one.number in said);
  return html`<ol class="asked-writes">${data.writes.map((/** @type {any} */ one) => html`<li key=${one.number}><fieldset>
      <legend class="mono"><${Text} of=${`${one.method} ${one.address}`} /></legend>
      <p class="dim">${words.unsure(one.attempt)} <${Text} of=${one.reason} />.${one.sent_at && ` ${exact(one.sent_at)}`}</p>
      ${one.body && html`<pre class="asked"><${Text} of=${one.body} /></pre>`}
      ${data.writes.length > 1 && [true, false].map((sent) => html`<label class="check"><input type="radio" name=${`write-${one.number}`} checked=${said[one.number] === sent} onChange=${() => setSaid((before) => ({ ...before, [one.number]: sent }))} />${sent ? words.wasSent : words.wasNot}</label>`)}</fieldset></li>`)}</ol>
    <${Problem} error=${action.error} />
    <div class="actions">${data.writes.length === 1
      ? [true, false].map((sent) => html`<button disabled=${action.working} onClick=${() => answer({ [first.number]: sent })}>${sent ? failure.sent : failure.notSent}</button>`)
      : html`<button class="primary" disabled=${action.working || !whole} onClick=${() => answer(said)}>${words.goOn(again)}</button>`}</div>`;
}
