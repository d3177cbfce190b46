// A question of the runtime before it does something: exactly what is asked, then yes or no.
import { ApiError, send } from "../api.js";
import { visible } from "../format.js";
import { consent as words } from "../strings_workflows.js";
import { html, render } from "../ui.js";
import { Dialog } from "./dialog.js";
import { nameOf } from "./names.js";
import { Permissions } from "./reach.js";
import { Text } from "./text.js";

/** @typedef {{message: string, asks: string[], confirm: string}} Question */

/** The question in an error; any other error is raised again. @param {unknown} error @returns {Question} */
export function asked(error) {
  if (!(error instanceof ApiError) || error.code !== "consent_needed") throw error;
  const { asks = [], confirm = "" } = error.body.error ?? {};
  return { message: error.message, asks: asks.length ? asks : error.body.asks ?? [], confirm: confirm || error.body.confirm };
}

/** A question as part of a state, or any other error as its error. @param {unknown} problem @returns {{question?: Question, error?: any}} */
export function questionOr(problem) {
  try {
    return { question: asked(problem) };
  } catch (error) {
    return { error };
  }
}

/** @param {{question: Question, act: string, onAgree: () => void, onClose: () => void}} properties */
export const Consent = ({ question, act, onAgree, onClose }) => html`<${Dialog} title=${words.title} onClose=${onClose} wide>
  <p><${Text} of=${question.message} /></p><${Permissions} lines=${question.asks} /><p class="dim">${words.note}</p>
  <div class="actions"><button class="primary" onClick=${onAgree}>${words.agree(act)}</button><button onClick=${onClose}>${words.decline}</button></div><//>`;

/** Questions that are open, so that several runs of one workflow ask once. @type {Map<string, Promise<void>>} */
const open = new Map();

/** Ask what another owner's workflow may do, and store the agreement. Fails where the person declines. @param {string} id @param {unknown} error  The answer to the run. */
export function agree(id, error) {
  const waiting = open.get(id) ?? ask(id, asked(error)).finally(() => open.delete(id));
  open.set(id, waiting);
  return waiting;
}

/** @param {string} id @param {Question} question */
async function ask(id, question) {
  const place = document.body.appendChild(document.createElement("div"));
  try {
    const yes = await new Promise((resolve) => render(html`<${Consent} question=${question} act=${words.run(visible(nameOf(id)))} onAgree=${() => resolve(true)} onClose=${() => resolve(false)} />`, place));
    if (!yes) throw new ApiError(403, { error: { message: words.declined } });
    await send("PUT", `/agreements/${encodeURIComponent(id)}`, { body: { confirm: question.confirm } });
  } finally {
    render(null, place);
    place.remove();
  }
}
