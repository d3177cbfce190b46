// What the checks of a workflow find in code: as it is typed, and whole.
import { post } from "../api.js";
import { findings as words } from "../strings_drafts.js";
import { html, useEffect, useMemo, useState } from "../ui.js";
import { Problem } from "./resource.js";
import { Prose } from "./text.js";

/** @typedef {{id: string, severity: "error" | "warning" | "info", message: string, line: number | null, column: number | null, fix: string | null}} Finding */

const TYPED_MS = 350;
const START_MS = 1500;
const SEVERITY = /** @type {Record<string, Finding["severity"]>} */ ({ failed: "error", warning: "warning", note: "info" });
const ORDER = { error: 0, warning: 1, info: 2 };
const HEADER = /^# \/\/\/ script\n[\s\S]*?^# \/\/\/$/m;

/** What is to be told of checks, the worst first. @param {any[]} checks @returns {Finding[]} */
export const findingsOf = (checks) => checks.filter(({ status }) => SEVERITY[status])
  .map(({ id, status, message, line, column, fix }) => ({ id, severity: SEVERITY[status], message, line, column, fix }))
  .sort((one, other) => ORDER[one.severity] - ORDER[other.severity]);

/** @param {string} code */
export const headerOf = (code) => HEADER.exec(code)?.[0] ?? "";

/**
 * @typedef {object} Checked
 * @property {Finding[]} found
 * @property {"typed" | "whole"} extent  Whether it was started too.
 * @property {boolean} working
 * @property {any} error
 */

/**
 * The checks of a text: those that take long only once it stays, and with the packages that it was saved with. A newer text
 * ends them.
 * @param {string | null} text  None where nothing is open yet.
 * @param {{text: string, checks: any[] | null} | null} saved  The text whose packages are there, and what is known of it.
 * @param {string | null} draft
 * @returns {Checked}
 */
export function useChecks(text, saved, draft) {
  const [state, setState] = useState(/** @type {Checked} */ ({ found: [], extent: "typed", working: true, error: null }));
  const known = saved?.text === text ? saved?.checks : null;
  useEffect(() => {
    if (text === null || known) return undefined;
    const abort = new AbortController();
    setState((before) => ({ ...before, extent: "typed", working: true }));
    const check = async () => {
      try {
        await pause(TYPED_MS, abort.signal);
        const quick = await post("/validate", { code: text, start: false }, { signal: abort.signal, quiet: true });
        const starts = quick.all_passed && saved !== null && headerOf(saved.text) === headerOf(text);
        setState({ found: findingsOf(quick.checks), extent: "typed", working: starts, error: null });
        if (!starts) return;
        await pause(START_MS, abort.signal);
        const whole = await post("/validate", { code: text, draft_id: draft }, { signal: abort.signal, quiet: true });
        setState({ found: findingsOf(whole.checks), extent: "whole", working: false, error: null });
      } catch (error) {
        if (!abort.signal.aborted) setState((before) => ({ ...before, working: false, error }));
      }
    };
    check();
    return () => abort.abort();
  }, [text, known, draft]);
  // What is stored is known at once, also while an answer about the text before it is still there.
  return useMemo(() => (known ? { found: findingsOf(known), extent: "whole", working: false, error: null } : state), [known, state]);
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
const pause = (ms, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(signal.reason);
  });
});

/** @param {{checked: Checked, onLine: (line: number) => void}} properties */
export const Findings = ({ checked, onLine }) => html`<section class="findings" aria-label=${words.title}>
  <p role="status" class=${checked.working || checked.found.length ? "dim" : "good"}>${stateOf(checked)}</p>
  <${Problem} error=${checked.error} />
  ${checked.found.length > 0 && html`<ul>${checked.found.map((one) => html`<li class=${`finding ${one.severity}`}>
    <span class="tag">${words.severity[one.severity]}</span>
    <span>${one.line ? html`<button class="link" onClick=${() => onLine(/** @type {number} */ (one.line))}>${words.line(one.line)}</button> ` : ""}<${Prose} of=${one.message} />
      ${one.fix && html`<br /><span class="dim">${words.fix} <${Prose} of=${one.fix} /></span>`}</span></li>`)}</ul>`}
</section>`;

/** @param {Checked} checked */
function stateOf({ found, extent, working, error }) {
  if (working) return words.working;
  if (error) return words.unknown;
  if (found.length) return words.count(found.filter((one) => one.severity === "error").length, found.length);
  return extent === "whole" ? words.none : words.noneTyped;
}
