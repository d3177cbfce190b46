// A question before something is done; the button says what it does.
import { html, useState } from "../ui.js";
import { Dialog } from "./dialog.js";
import { Problem } from "./resource.js";

/** @param {{title: string, lead: string, action: string, keep: string, act: () => Promise<unknown>, onClose: () => void, children?: unknown, plain?: boolean}} properties  `plain`: it can be undone. */
export function Confirm({ title, lead, action, keep, act, onClose, children, plain }) {
  const [error, setError] = useState(/** @type {any} */ (null));
  const [working, setWorking] = useState(false);
  const run = async () => {
    setWorking(true);
    try {
      await act();
      onClose();
    } catch (problem) {
      setError(problem);
      setWorking(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <p>${lead}</p>${children}<${Problem} error=${error} />
    <div class="actions"><button class=${plain ? "primary" : "danger"} disabled=${working} onClick=${run}>${action}</button><button onClick=${onClose}>${keep}</button></div>
  <//>`;
}
