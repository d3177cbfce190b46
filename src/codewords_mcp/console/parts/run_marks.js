// The last runs of a workflow as marks, the newest at the right.
import { workflows as words } from "../strings_workflows.js";
import { html } from "../ui.js";
import { RunLink } from "./link.js";
import { Status } from "./status.js";

const SHOWN = 8;

/** @param {{runs: {id: string, status: string}[]}} properties  The newest first. */
export const RunMarks = ({ runs }) => (runs.length
  ? html`<span class="marks" role="group" aria-label=${words.lastRuns}>${runs.slice(0, SHOWN).reverse().map((run) => html`<${RunLink} key=${run.id} id=${run.id}><${Status} of=${run.status} word=${false} /><//>`)}</span>`
  : html`<span class="dim small">${words.noRuns}</span>`);
