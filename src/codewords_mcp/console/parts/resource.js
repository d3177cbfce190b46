// What a page loads: its data, the error, and loading it again when it changes.
import { onChange } from "../api.js";
import { common } from "../strings.js";
import { Prose } from "./text.js";
import { html, useCallback, useEffect, useRef, useState } from "../ui.js";

const GATHER_MS = 200;

/**
 * @template T
 * @typedef {{data: T | undefined, error: any, reload: () => void, set: (data: T) => void}} Resource
 */

/**
 * Load data; the former stays while it is loaded again.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} load
 * @param {unknown[]} dependencies
 * @param {(change: import("../api.js").Change) => boolean} [concerns]  Which changes it is loaded again for.
 * @returns {Resource<T>}
 */
export function useResource(load, dependencies, concerns) {
  const [state, setState] = useState(/** @type {{data: T | undefined, error: any}} */ ({ data: undefined, error: null }));
  const latest = useRef({ load, concerns, abort: new AbortController() });
  Object.assign(latest.current, { load, concerns });

  const reload = useCallback(() => {
    latest.current.abort.abort();
    const abort = (latest.current.abort = new AbortController());
    latest.current.load(abort.signal).then(
      (data) => !abort.signal.aborted && setState({ data, error: null }),
      (error) => !abort.signal.aborted && setState(({ data }) => ({ data, error })),
    );
  }, []);

  useEffect(() => {
    reload();
    let timer = 0;
    const stop = onChange((change) => {
      if (change.name !== "again" && !latest.current.concerns?.(change)) return;
      clearTimeout(timer);
      timer = setTimeout(reload, GATHER_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
      latest.current.abort.abort();
    };
  }, dependencies);

  const set = useCallback((/** @type {T} */ data) => setState({ data, error: null }), []);
  return { ...state, reload, set };
}

/** Changes of these names. @param {...import("../api.js").ChangeName} names @returns {(change: import("../api.js").Change) => boolean} */
export const changesOf = (...names) => ({ name }) => names.some((one) => one === name);

/** A dialog may be taller than the window: what was refused is not to be below its end. @param {HTMLElement | null} element */
const reveal = (element) => element?.closest("dialog") && element.scrollIntoView({ block: "nearest" });

/** An error in the API's own sentence. @param {{error: any, retry?: () => void, all?: [string, string], children?: unknown}} properties  `all`: the way on where there is none of an id. */
export function Problem({ error, retry, all, children }) {
  if (!error) return null;
  const gone = all && error.status === 404;
  return html`<div class="problem" role="alert" ref=${reveal}>
    <p><strong><${Prose} of=${error.message ?? common.failed} /></strong></p>
    ${error.hint && !gone && html`<p><${Prose} of=${error.hint} /></p>`}
    ${children}
    ${gone ? html`<p><a href=${all[0]}>${all[1]}</a></p>` : retry && html`<button onClick=${retry}>${common.again}</button>`}
  </div>`;
}
