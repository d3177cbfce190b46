// A question of the runtime, opened in the inbox: exactly what is asked, and below it the buttons, worded by what they do.
import { get, post } from "../api.js";
import { visible } from "../format.js";
import { inbox as words } from "../strings_pages.js";
import { html } from "../ui.js";
import { useAction } from "./action.js";
import { Approval } from "./approval.js";
import { Changes } from "./changes.js";
import { Difference } from "./code.js";
import { Problem, useResource } from "./resource.js";
import { Text } from "./text.js";

/** @typedef {{message: string, serviceId?: string | null, runId?: string}} Done What an answer said, and where it goes on. */

/** @param {{token: string, onDone: (done: Done) => void}} properties */
export function Question({ token, onDone }) {
  const path = `/questions/${encodeURIComponent(token)}`;
  const { data, error, reload } = useResource((signal) => get(path, {}, { signal }), [token]);
  const action = useAction();
  if (!data) return html`<${Problem} error=${error} retry=${![404, 409].includes(error?.status) && reload} />`;
  if (data.run_id) return html`<${Approval} question=${data} path=${path} onDone=${onDone} />`;

  const answer = (/** @type {boolean} */ agreed) => action.run(async () => {
    const { message } = await post(path, { agreed });
    onDone({ message, serviceId: data.service_id });
  });
  return html`
    ${data.asker && html`<p class="dim">${words.by} <${Text} of=${data.asker} />.</p>`}
    ${data.changes ? html`<${Changes} changes=${data.changes} level="h3" />`
      : data.diff && html`<section class="below"><h3>${words.code}</h3><${Difference} text=${data.diff} label=${words.code} /></section>`}
    <section class="below"><h3><${Text} of=${data.about} /></h3>
      <dl class="permissions">${data.rows.map((/** @type {any} */ row) => html`<div><dt><${Text} of=${row.kind} /></dt><dd>${row.items.map((/** @type {string} */ item) => html`<div><${Text} of=${item} /></div>`)}</dd></div>`)}</dl></section>
    <${Problem} error=${action.error} />
    <div class="actions below"><button class="primary" disabled=${action.working} onClick=${() => answer(true)}>${visible(data.yes)}</button><button disabled=${action.working} onClick=${() => answer(false)}>${visible(data.no)}</button></div>
    <p class="dim">${words.nothingElse}</p>`;
}
