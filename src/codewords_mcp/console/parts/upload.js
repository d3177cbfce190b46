// A file for a workflow: stored by the runtime, its address given to the field.
import { post, send } from "../api.js";
import { form as words } from "../strings_workflows.js";
import { html, useRef } from "../ui.js";
import { useAction } from "./action.js";
import { Problem } from "./resource.js";

/** Store a file; its address. The upload goes to this origin, whatever host the answer names. @param {File} file @returns {Promise<string>} */
async function store(file) {
  const room = await post(`/file?filename=${encodeURIComponent(file.name)}`);
  const { pathname, search } = new URL(room.upload_uri, location.href);
  await send("PUT", pathname + search, { body: file, headers: room.upload_headers });
  return room.download_uri;
}

/** @param {{label: string, onUploaded: (address: string) => void}} properties */
export function Upload({ label, onUploaded }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const action = useAction();
  const take = (/** @type {any} */ event) => {
    const [file] = event.target.files;
    if (file) action.run(async () => onUploaded(await store(file)));
  };
  return html`<input type="file" hidden ref=${input} onChange=${take} />
    <button type="button" disabled=${action.working} aria-label=${`${words.upload}: ${label}`} onClick=${() => input.current?.click()}>${action.working ? words.uploading : words.upload}</button>
    <${Problem} error=${action.error} />`;
}
