// Parts that are loaded when they are first shown.
import { html, useEffect, useState } from "../ui.js";

/** A component in place of one that is loaded when it is first shown. @param {() => Promise<Function>} load */
export function lazy(load) {
  /** @type {Function | null} */
  let Part = null;
  return (/** @type {Record<string, unknown>} */ properties) => {
    const [, setReady] = useState(Part !== null);
    useEffect(() => {
      if (Part) return;
      load().then((loaded) => {
        Part = loaded;
        setReady(true);
      });
    }, []);
    return Part && html`<${Part} ...${properties} />`;
  };
}
