// A dialog over the page: the browser keeps the focus inside and closes it on Escape.
import { common } from "../strings.js";
import { html, useLayoutEffect, useRef } from "../ui.js";
import { Icon } from "./icons.js";

/** @param {{title: string, onClose: () => void, children?: unknown, wide?: boolean}} properties */
export function Dialog({ title, onClose, children, wide }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // Before it is drawn: a key that is pressed as soon as it is seen goes to the dialog.
  useLayoutEffect(() => {
    const before = document.activeElement;
    element.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);

  return html`<dialog ref=${element} class=${wide ? "wide" : ""} aria-label=${title}
      onClose=${onClose} onClick=${(/** @type {Event} */ event) => event.target === element.current && onClose()}>
    <div class="dialog-body">
      <header><h2>${title}</h2><button class="plain" aria-label=${common.close} onClick=${onClose}><${Icon} name="cross" /></button></header>
      ${children}
    </div>
  </dialog>`;
}
