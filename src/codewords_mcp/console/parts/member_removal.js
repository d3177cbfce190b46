// The question before a member is removed: what ends with them, and what stays.
import { get, send } from "../api.js";
import { visible } from "../format.js";
import { members as words } from "../strings_members.js";
import { html } from "../ui.js";
import { isValid } from "./access_keys.js";
import { Confirm } from "./confirm.js";
import { allOf } from "./pages.js";
import { Problem, useResource } from "./resource.js";

/** @param {{member: any, onClose: () => void, onDone: () => void}} properties */
export function RemoveMember({ member, onClose, onDone }) {
  const { data, error } = useResource(async (signal) => {
    const [keys, sessions] = await Promise.all([allOf("/keys", {}, { signal }), get("/sessions", {}, { signal })]);
    return {
      keys: keys.filter((key) => key.member === member.id && isValid(key)).length,
      sessions: sessions.items.filter((/** @type {any} */ one) => one.member === member.name).length,
    };
  }, []);
  const remove = async () => {
    await send("DELETE", `/members/${member.id}`);
    onDone();
  };
  const name = visible(member.name);
  return html`<${Confirm} title=${words.removeTitle(name)} lead=${data ? words.ends(data.keys, data.sessions) : words.counting} action=${words.remove(name)} keep=${words.keep} act=${remove} onClose=${onClose}>
    <${Problem} error=${error} />
    <ul class="facts-list"><li>${words.asked}</li><li>${words.stays}</li><li>${words.secrets}</li></ul><//>`;
}
