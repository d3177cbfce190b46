// Links of a card: they open the console, by way of the host.
import { computed, signal } from "../ui.js";
import { abilities, request, result } from "./host.js";

/** The page of the console that a result names; empty before there is one. */
export const consolePage = computed(() => {
  const page = result.value?._meta?.["codewords/console"];
  return typeof page === "string" && /^https?:\/\//.test(page) ? page : "";
});

/** An address that the host did not open, for the person to open it. */
export const notOpened = signal("");

/** An address of the console. @param {string} path */
export const inConsole = (path) => (consolePage.peek() ? new URL(path, consolePage.peek()).href : "");

/** Ask the host to open an address. @param {string} url */
export async function openLink(url) {
  notOpened.value = "";
  if (!/^https?:\/\//.test(url)) return;
  const opened = abilities.peek().openLinks && (await request("ui/open-link", { url }).catch(() => ({ isError: true })));
  if (!opened || opened.isError) notOpened.value = url;
}

/** Let all links of a card open the console. */
export function followLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
    if (!link) return;
    event.preventDefault();
    openLink(inConsole(link.getAttribute("href") ?? ""));
  });
}
