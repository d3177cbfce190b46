// Sealed entries of the audit trail as a file of JSON lines, in the order of the chain.
import { get } from "../api.js";

const AT_ONCE = 1000;
/** Entries that a browser gathers at most. */
export const MOST_EXPORTED = 100_000;

/** @param {Record<string, string>} filters @param {(count: number) => void} onProgress */
export async function exportLines(filters, onProgress) {
  /** @type {string[]} */
  const lines = [];
  let after = 0;
  for (;;) {
    const { items } = await get("/audit", { ...filters, after, limit: AT_ONCE });
    for (const entry of items) lines.push(`${JSON.stringify(entry)}\n`);
    onProgress(lines.length);
    if (items.length < AT_ONCE || lines.length >= MOST_EXPORTED) break;
    after = items[items.length - 1].seq;
  }
  const address = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
  Object.assign(document.createElement("a"), { href: address, download: "audit.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  return { count: lines.length, cut: lines.length >= MOST_EXPORTED };
}
