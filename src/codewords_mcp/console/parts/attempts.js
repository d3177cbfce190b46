// The attempts of a run that was tried more than once.
import { duration } from "../format.js";
import { run as words } from "../strings.js";
import { html } from "../ui.js";
import { Status } from "./status.js";
import { When } from "./text.js";

/** @param {{attempts: any[]}} properties */
export const Attempts = ({ attempts }) => html`<section class="card" aria-label=${words.attempts}>
  <header><h2>${words.attempts}</h2></header>
  <ul class="rows">${attempts.map((attempt) => html`<li>
    <span class="what">${words.attempt(attempt.number)}</span>
    <span><${When} at=${attempt.startedAt} /></span>
    <span>${attempt.endedAt ? duration(Date.parse(attempt.endedAt) - Date.parse(attempt.startedAt)) : words.still}</span>
    <${Status} of=${attempt.outcome ?? "running"} /></li>`)}</ul>
</section>`;
