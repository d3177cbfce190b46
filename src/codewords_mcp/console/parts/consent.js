// A question of the runtime before it does something: exactly what is asked, then yes or no.
import { ApiError } from "../api.js";
import { consent as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { Dialog } from "./dialog.js";
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
