// The sections of a page; which one is shown stands in its address.
import { href, setQuery } from "../router.js";
import { html, useEffect, useRef } from "../ui.js";

/**
 * On a phone the chosen one is scrolled into sight.
 * @param {object} properties
 * @param {string} properties.label
 * @param {[string, string][]} properties.tabs  Ids and names; the first is shown without a word in the address.
 * @param {string} properties.chosen
 * @param {Record<string, null>} [properties.reset]  What else of the address belongs to one section only.
 */
export function Tabs({ label, tabs, chosen, reset }) {
  const row = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const current = row.current?.querySelector("[aria-current]");
    if (current instanceof HTMLElement && row.current) row.current.scrollLeft = current.offsetLeft - row.current.offsetLeft - 48;
  }, [chosen]);
  const choose = (/** @type {Event} */ event, /** @type {string | null} */ tab) => {
    event.preventDefault();
    setQuery({ ...reset, tab }, { push: true });
  };
  const named = tabs.map(([name, text]) => ({ name, text, tab: name === tabs[0][0] ? null : name }));
  return html`<nav class="tabs" aria-label=${label} ref=${row}>${named.map(({ name, text, tab }) => html`<a href=${href(location.pathname, { tab })}
    aria-current=${name === chosen ? "page" : undefined} onClick=${(/** @type {Event} */ event) => choose(event, tab)}>${text}</a>`)}</nav>`;
}
