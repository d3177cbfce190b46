// Members: who shares this home, the keys of programs, and the browsers that are signed in.
import { get } from "../api.js";
import { visible } from "../format.js";
import { PAGE_NAMES } from "../strings.js";
import { members as words } from "../strings_members.js";
import { html } from "../ui.js";
import { AccessKeys } from "../parts/access_keys.js";
import { Browsers } from "../parts/browsers.js";
import { MemberList } from "../parts/member_list.js";
import { Passkeys } from "../parts/passkeys.js";
import { changesOf, Problem, useResource } from "../parts/resource.js";
import { useTitle } from "../parts/text.js";

/** The caller, and the members where the caller may see them. @param {AbortSignal} signal */
async function load(signal) {
  const me = await get("/me", {}, { signal });
  const manages = me.kind === "admin" && me.owner === "local";
  return { me, members: manages ? (await get("/members", {}, { signal })).items : null };
}

export default function Members() {
  useTitle(PAGE_NAMES.members);
  const { data, error, reload } = useResource(load, [], changesOf("sessions"));
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  const { me, members } = data;
  return html`
    <header class="head"><h1>${headline(me, members)}</h1></header>
    <${Problem} error=${error} retry=${reload} />
    ${members && html`<${MemberList} me=${me.member} members=${members} onChange=${reload} />`}
    <${Browsers} />
    ${me.owner === "local" && (me.member || members) && html`<${Passkeys} me=${me.member} />`}
    ${me.kind === "admin" ? html`<${AccessKeys} members=${members ?? []} />` : me.member?.kind === "person" && html`<${AccessKeys} own=${me.member} scopes=${me.scopes ?? undefined} />`}`;
}

/** @param {any} me @param {any[] | null} members */
function headline(me, members) {
  if (members) return words.headline(members.length);
  return me.member ? words.you(visible(me.member.name), me.member.role) : words.owner(visible(me.owner));
}
