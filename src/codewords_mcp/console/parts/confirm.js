// A question before something that can't be undone; the button says what it does.
import { html, useState } from "../ui.js";
import { Dialog } from "./dialog.js";
import { Problem } from "./resource.js";

/** @param {{title: string, lead: string, action: string, keep: string, act: () => Promise<unknown>, onClose: () => void, children?: unknown}} properties */
export function Confirm({ title, lead, action, keep, act, onClose, children }) {
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
    <div class="actions"><button class="danger" disabled=${working} onClick=${run}>${action}</button><button onClick=${onClose}>${keep}</button></div>
  <//>`;
}
