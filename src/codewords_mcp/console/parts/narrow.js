// A field that narrows down a list while a person types.
import { html } from "../ui.js";

/** @param {{label: string, value: string, onChange: (text: string) => void}} properties */
export const Search = ({ label, value, onChange }) => html`<form role="search" class="narrow" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
  <input type="search" aria-label=${label} placeholder=${label} value=${value} onInput=${(/** @type {any} */ event) => onChange(event.target.value.trim())} /></form>`;
