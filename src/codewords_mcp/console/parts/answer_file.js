// Answers that are pages or files: in frames, as pictures, or to download.
import { send } from "../api.js";
import { bytes, dayTime } from "../format.js";
import { answer as words } from "../strings.js";
import { html, useEffect, useState } from "../ui.js";
import { now, Text } from "./text.js";

const PICTURE = /^image\/(png|jpeg|gif|webp|avif|bmp)$/;

/** HTML of a workflow with its own styles, in a frame of an opaque origin without scripts. @param {{address: string}} properties */
export const PageFrame = ({ address }) => html`
  <iframe sandbox="" title=${words.frame} src=${address} referrerpolicy="no-referrer"></iframe><p class="dim">${words.frame}</p>`;

/** @param {string | Blob | null} content @param {string} type */
function useBlob(content, type) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    if (content === null) return undefined;
    const made = URL.createObjectURL(new Blob([content], { type }));
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [content]);
  return address;
}

/** @param {{file: any}} properties */
export function File({ file }) {
  const own = file.downloadUri && new URL(file.downloadUri, location.href).origin === location.origin;
  return html`
    ${own && PICTURE.test(file.contentType) && html`<p><img class="picture" src=${file.downloadUri} alt=${words.image} /></p>`}
    ${own && file.contentType === "application/pdf" && html`<${Pdf} address=${file.downloadUri} given=${file.blob} />`}
    <p><${Text} of=${file.filename} /> <span class="dim">${file.contentType} · ${bytes(file.size)}${file.expiresAt && ` · ${words.expires(dayTime(file.expiresAt, now.peek()))}`}</span></p>
    ${file.problem && html`<p class="dim">${words.problems[file.problem]}</p>`}
    ${file.downloadUri && html`<p><a class="button" href=${file.downloadUri} target="_blank" rel="noopener noreferrer" download>${words.download}</a></p>`}`;
}

/** The browser's own viewer shows it: whatever the bytes are, they are taken for a PDF. @param {{address: string, given?: Blob}} properties */
function Pdf({ address, given }) {
  const [content, setContent] = useState(/** @type {Blob | null} */ (null));
  useEffect(() => {
    if (given) return setContent(given);
    const { pathname, search } = new URL(address, location.href);
    send("GET", pathname + search).then(async (response) => setContent(await response.blob()), () => {});
  }, [address]);
  const blob = useBlob(content, "application/pdf");
  return blob && html`<iframe title=${words.pdf} src=${blob}></iframe>`;
}
