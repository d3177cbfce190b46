// Dialogs of a run: again with another input, and cancelling.
import { post } from "../api.js";
import { isJson, visible } from "../format.js";
import { go } from "../router.js";
import { common } from "../strings.js";
import { again as words } from "../strings_dialogs.js";
import { html, useState } from "../ui.js";
import { Dialog } from "./dialog.js";
import { nameOf } from "./names.js";
import { Problem } from "./resource.js";
import { repeat } from "./start.js";

/** @typedef {import("./run_facts.js").RunRecord} RunRecord */

/** @param {string | null} content @param {string | null} type */
function pretty(content, type) {
  if (!content || (type && !type.includes("json"))) return content ?? "";
  try {
    return JSON.stringify(JSON.parse(content), null, 2);
  } catch {
    return content;
  }
}

/** @param {{run: RunRecord, dry?: boolean, onClose: () => void}} properties */
export function Again({ run, dry: dryAtFirst = false, onClose }) {
  const [text, setText] = useState(pretty(run.requestContent, run.requestContentType));
  const [dry, setDry] = useState(dryAtFirst);
  const [working, setWorking] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (null));
  const json = !run.requestContentType || run.requestContentType.includes("json");
  const invalid = json && text.trim() !== "" && !isJson(text);
  const name = visible(nameOf(run.serviceId));

  const start = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setWorking(true);
    try {
      const id = await repeat(run, { content: text, dry });
      onClose();
      go(`/console/runs/${id}`);
    } catch (problem) {
      setError(problem);
      setWorking(false);
    }
  };
  return html`<${Dialog} title=${words.title(name)} onClose=${onClose} wide>
    <form class="again" onSubmit=${start}>
      <label>${words.input}<textarea rows="12" autofocus spellcheck=${false} value=${text} aria-invalid=${invalid} onInput=${(/** @type {any} */ event) => setText(event.target.value)}></textarea></label>
      ${run.requestTruncated && html`<p class="dim">${words.truncated}</p>`}
      ${!run.requestContent && html`<p class="dim">${words.none}</p>`}
      ${invalid && html`<p class="bad" role="status">${words.invalid}</p>`}
      <label class="check"><input type="checkbox" checked=${dry} onChange=${() => setDry(!dry)} />${words.dry}</label>
      <${Problem} error=${error} />
      <div class="actions"><button class="primary" disabled=${working || invalid}>${dry ? words.startDry(name) : words.start(name)}</button><button type="button" onClick=${onClose}>${common.cancel}</button></div>
    </form>
  <//>`;
}

/** @param {{run: RunRecord, onClose: () => void}} properties */
export function CancelRun({ run, onClose }) {
  const [error, setError] = useState(/** @type {any} */ (null));
  const cancel = async () => {
    try {
      await post(`/runs/${run.id}/cancel`);
      onClose();
    } catch (problem) {
      setError(problem);
    }
  };
  return html`<${Dialog} title=${words.cancel} onClose=${onClose}>
    <p>${words.cancelLead}</p><${Problem} error=${error} />
    <div class="actions"><button class="danger" onClick=${cancel}>${words.cancelButton(visible(nameOf(run.serviceId)))}</button><button onClick=${onClose}>${words.keep}</button></div>
  <//>`;
}
