// What a button of a page does: while it works, and its error in the API's sentence.
import { useState } from "../ui.js";

/** @returns {{error: any, working: boolean, run: (act: () => Promise<unknown>) => Promise<boolean>}} */
export function useAction() {
  const [state, setState] = useState(/** @type {{error: any, working: boolean}} */ ({ error: null, working: false }));
  const run = async (/** @type {() => Promise<unknown>} */ act) => {
    setState({ error: null, working: true });
    try {
      await act();
      setState({ error: null, working: false });
      return true;
    } catch (error) {
      setState({ error, working: false });
      return false;
    }
  };
  return { ...state, run };
}

/** Go to a page that the runtime made for a question; only its path is taken. @param {string} url */
export const openPage = (url) => location.assign(new URL(url, location.href).pathname);
