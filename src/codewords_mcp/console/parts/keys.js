// Keys that work on every page.
import { go, NAVIGATION } from "../router.js";
import { signal, useEffect } from "../ui.js";

/** What lies over the page. */
export const overlay = signal(/** @type {"" | "search" | "keys"} */ (""));

const SEQUENCE_MS = 1500;
let sequence = -Infinity;

/** Whether keys are text here. @param {EventTarget | null} target */
export const isTyping = (target) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
  if (isTyping(event.target) || document.querySelector("dialog[open]")) return;

  const inSequence = event.timeStamp - sequence < SEQUENCE_MS;
  sequence = -Infinity;
  const target = inSequence && NAVIGATION.flat().find(([, , key]) => key === event.key);
  if (target) go(target[1]);
  else if (event.key === "g") sequence = event.timeStamp;
  else if (event.key === "/") overlay.value = "search";
  else if (event.key === "?") overlay.value = "keys";
  else return;
  event.preventDefault();
}

export function useKeys() {
  useEffect(() => {
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
