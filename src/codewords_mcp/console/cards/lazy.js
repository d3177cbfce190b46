// Parts that a page would load later: a card has them all.
import { html, useEffect, useState } from "../ui.js";

/** @param {() => Promise<Function>} load */
export function lazy(load) {
  return (/** @type {Record<string, unknown>} */ properties) => {
    const [part, setPart] = useState(/** @type {{of: Function} | null} */ (null));
    useEffect(() => {
      load().then((of) => setPart({ of }));
    }, []);
    return part && html`<${part.of} ...${properties} />`;
  };
}
