// One entry of the audit trail: its action, and below it all that is known of it.
import { audit as words } from "../strings_audit.js";
import { html } from "../ui.js";
import { RunLink } from "./link.js";
import { Text } from "./text.js";

/** @param {{of: string}} properties */
export const Outcome = ({ of }) => html`<span class=${`status ${STATUS[of] ?? ""}`}>${words.outcome[of] ?? of}</span>`;

const STATUS = /** @type {Record<string, string>} */ ({ done: "succeeded", failed: "failed", refused: "cancelled" });

/** @param {{entry: any}} properties */
export function AuditEntry({ entry }) {
  const names = [...new Set([...Object.keys(entry.before ?? {}), ...Object.keys(entry.after ?? {})])];
  /** @type {[string, unknown][]} */
  const facts = [
    [words.facts.error, entry.error], [words.facts.operation, entry.operation], [words.facts.address, entry.address],
    [words.facts.agent, entry.agent], [words.facts.key, entry.key_id], [words.facts.owner, entry.owner],
    [words.facts.seq, entry.seq ?? words.unsealed],
  ];
  return html`<details class="audit"><summary><span class="mono"><${Text} of=${entry.action} /></span></summary>
    <dl class="pairs">
      ${names.map((name) => html`<dt><${Text} of=${name} /></dt><dd><${Change} entry=${entry} name=${name} /></dd>`)}
      ${entry.hidden.map((/** @type {string} */ name) => html`<dt><${Text} of=${name} /></dt><dd class="dim">${words.hidden}</dd>`)}
      ${facts.map(([name, value]) => value !== "" && html`<dt>${name}</dt><dd><${Text} of=${value} /></dd>`)}
      ${entry.run_id && html`<dt>${words.facts.run}</dt><dd><${RunLink} id=${entry.run_id} /></dd>`}
    </dl></details>`;
}

/** @param {{entry: any, name: string}} properties */
const Change = ({ entry, name }) => html`${entry.before && name in entry.before && html`<del><${Text} of=${plain(entry.before[name])} /></del> `}
  ${entry.after && name in entry.after && html`<ins><${Text} of=${plain(entry.after[name])} /></ins>`}`;

/** @param {any} value */
const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));
