// What waits for the person: loaded once, and again when it changes.
import { get, onChange } from "../api.js";
import { computed, signal } from "../ui.js";

/** @typedef {{kind: string, title: string, path: string, created_at: string, expires_at: string}} Waiting */

export const waiting = signal(/** @type {Waiting[] | null} */ (null));
export const waitingCount = computed(() => waiting.value?.length ?? 0);

export async function loadWaiting() {
  try {
    waiting.value = (await get("/waiting", {}, { quiet: true })).items;
  } catch {
    waiting.value ??= [];
  }
}

loadWaiting();
onChange(({ name }) => {
  if (name === "inbox" || name === "again") loadWaiting();
});
