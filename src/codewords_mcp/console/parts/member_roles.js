// The choice of a role, each with what it may.
import { members as words } from "../strings_members.js";
import { html } from "../ui.js";

/** @typedef {[role: string, may: string]} Role */

/** The roles that a member may give, from the least on. @param {any} me  None: the home's own key, which gives all. @param {string} kind @returns {Role[]} */
export function rolesUpTo(me, kind) {
  const highest = me ? words.roles.findIndex(([role]) => role === me.role) : Infinity;
  return words.roles.filter(([role], rank) => rank <= highest && !(kind === "service" && role === "owner"));
}

/** @param {{roles: Role[], value: string, onChange: (role: string) => void}} properties */
export const Roles = ({ roles, value, onChange }) => html`<fieldset class="roles"><legend>${words.role}</legend>
  ${roles.map(([role, may]) => html`<label class="check"><input type="radio" name="role" value=${role} checked=${role === value} onChange=${() => onChange(role)} />
    <span>${role} <span class="dim">${may}</span></span></label>`)}</fieldset>`;
