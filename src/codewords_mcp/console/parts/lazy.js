// Parts that are loaded when they are first shown, or before that when the browser has nothing else to do.
import { answers, comesBack } from "../api.js";
import { html, useEffect, useState } from "../ui.js";

const QUIET_MS = 2000;

/** A component in place of one that is loaded when it is first shown. @param {() => Promise<Function>} load */
export function lazy(load) {
  /** @type {Function | null} */
  let Part = null;
  const ready = () => load().then((loaded) => (Part = loaded));
  whenIdle(() => ready().catch(() => {}));
  return (/** @type {Record<string, unknown>} */ properties) => {
    const [, setReady] = useState(Part !== null);
    useEffect(() => {
      if (!Part) loadPart(ready).then(() => setReady(true), () => {});
    }, []);
    return Part && html`<${Part} ...${properties} />`;
  };
}

/** Do something after what the page needs first. @param {() => void} act */
function whenIdle(act) {
  setTimeout(() => (window.requestIdleCallback ?? setTimeout)(act), QUIET_MS);
}

/**
 * Load a part of the page; again once the runtime is back, if it was away: a reload would put the browser's own page of
 * an error in this one's place.
 * @template T
 * @param {() => Promise<T>} load
 * @returns {Promise<T>}
 */
export async function loadPart(load) {
  for (;;) {
    try {
      return await load();
    } catch (error) {
      if (await answers()) {
        reloadOnce();
        throw error;
      }
      await comesBack();
    }
  }
}

/** A page of another version of the runtime has other addresses: load the shell again, but not for ever. */
function reloadOnce() {
  const last = Number(sessionStorage.getItem("reloaded") ?? 0);
  if (Date.now() - last < 10_000) return;
  sessionStorage.setItem("reloaded", String(Date.now()));
  location.reload();
}
