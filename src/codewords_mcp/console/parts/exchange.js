// A request of the API explorer and what came back: status, headers, duration, and the answer as it comes.
import { get, send } from "../api.js";
import { bytes, duration, money } from "../format.js";
import { api as words } from "../strings_explore.js";
import { html, useEffect, useState } from "../ui.js";
import { Answer } from "./answer.js";
import { RunLink } from "./link.js";
import { Text } from "./text.js";

const MOST = 1_000_000;
const PART_MS = 250;
const TEXT = /^$|^text\/|json|xml|javascript|event-stream|urlencoded/;

/**
 * @typedef {object} Exchange
 * @property {number} status
 * @property {[string, string][]} headers
 * @property {string} type
 * @property {number} ms
 * @property {number} size
 * @property {string} text
 * @property {Blob | null} blob
 * @property {boolean} truncated
 * @property {boolean} stopped
 * @property {string} run  The id of the run that it was, if it was one.
 */

/** Send a request; what has come so far is told as it comes. @param {{method: string, path: string, headers: Record<string, string>, body: string | Blob | undefined}} request @param {AbortSignal} signal @param {(part: Exchange) => void} onPart @returns {Promise<Exchange>} */
export async function exchange({ method, path, headers, body }, signal, onPart) {
  const began = performance.now();
  const response = await send(method, path, { headers, body, signal, any: true, quiet: true });
  const type = response.headers.get("content-type") ?? "";
  const run = path.startsWith("/run/") ? response.headers.get("x-request-id") ?? "" : "";
  /** @type {Exchange} */
  const found = { status: response.status, headers: [...response.headers], type, run, ms: performance.now() - began, size: 0, text: "", blob: null, truncated: false, stopped: false };
  onPart({ ...found });
  await read(response, found, onPart, began);
  return { ...found, ms: performance.now() - began };
}

/** @param {Response} response @param {Exchange} found @param {(part: Exchange) => void} onPart @param {number} began */
async function read(response, found, onPart, began) {
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const isText = TEXT.test(found.type);
  const chunks = [];
  let told = began;
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
      found.size += part.value.length;
      if (isText) found.text += decoder.decode(part.value, { stream: true });
      else chunks.push(part.value);
      found.truncated = isText && found.text.length >= MOST;
      if (found.truncated) break;
      if (performance.now() - told < PART_MS) continue;
      told = performance.now();
      onPart({ ...found, ms: told - began });
    }
  } catch {
    // What came until it was stopped, or broke off, is shown.
    found.stopped = true;
  }
  reader?.cancel().catch(() => {});
  if (!isText) found.blob = new Blob(chunks, { type: found.type });
}

/** @param {{of: Exchange, working: boolean}} properties */
export function Outcome({ of, working }) {
  const file = useFile(of);
  const cost = useCost(working ? "" : of.run);
  const record = { responseStatus: of.status, responseContent: of.text, responseJson: working ? null : jsonOf(of), responseTruncated: of.truncated, responseFile: file };
  return html`
    <dl class="facts" role="status"><div><dt>${words.took}</dt><dd>${duration(of.ms)}</dd></div><div><dt>${words.size}</dt><dd>${bytes(of.size)}</dd></div>
      ${cost !== null && html`<div><dd>${words.cost} ${money(cost)}</dd></div>`}${of.run && !working && html`<div><dd>${words.run} <${RunLink} id=${of.run} /></dd></div>`}</dl>
    <details><summary>${words.headers(of.headers.length)}</summary><dl class="pairs mono">${of.headers.map(([name, value]) => html`<dt>${name}</dt><dd><${Text} of=${value} /></dd>`)}</dl></details>
    ${of.stopped && html`<p class="dim">${words.stopped}</p>`}
    <${Answer} run=${record} />`;
}

/** @param {Exchange} of */
function jsonOf({ text, type }) {
  if (!/json/.test(type) || /ndjson/.test(type)) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** What the run cost, once it is on record; null where it is not known. @param {string} run */
function useCost(run) {
  const [cost, setCost] = useState(/** @type {number | null} */ (null));
  useEffect(() => {
    setCost(null);
    if (run) get(`/request/${encodeURIComponent(run)}`, {}, { quiet: true }).then((record) => setCost(record.cost ?? null), () => {});
  }, [run]);
  return cost;
}

/** An answer that is no text, as the file of a run is shown. @param {Exchange} of */
function useFile({ blob, type, headers }) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    if (!blob?.size) return undefined;
    const made = URL.createObjectURL(blob);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [blob]);
  const [, name = ""] = headers.find(([one]) => one === "content-disposition")?.[1].match(/filename="?([^";]+)/) ?? [];
  return blob?.size && address ? { downloadUri: address, contentType: type.split(";")[0], filename: name, size: blob.size, blob } : null;
}
