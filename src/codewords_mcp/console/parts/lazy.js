// Parts that are loaded when they are first shown, or before that when the browser has nothing else to do.
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
      if (!Part) ready().then(() => setReady(true), reloadOnce);
    }, []);
    return Part && html`<${Part} ...${properties} />`;
  };
}

/** Do something after what the page needs first. @param {() => void} act */
function whenIdle(act) {
  setTimeout(() => (window.requestIdleCallback ?? setTimeout)(act), QUIET_MS);
}

/** A page of another version of the runtime has other addresses: load the shell again, but not for ever. */
export function reloadOnce() {
  const last = Number(sessionStorage.getItem("reloaded") ?? 0);
  if (Date.now() - last < 10_000) return;
  sessionStorage.setItem("reloaded", String(Date.now()));
  location.reload();
}
