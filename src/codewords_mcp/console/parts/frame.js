// Navigation, the banner, search and keys; inside them the page.
import { busy, connection } from "../api.js";
import { address, match, NAVIGATION } from "../router.js";
import { frame as words, PAGE_NAMES, PRODUCT } from "../strings.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import { Icon } from "./icons.js";
import { waitingCount } from "./waiting.js";
import { overlay, useKeys } from "./keys.js";
import { lazy, loadPart } from "./lazy.js";

const Search = lazy(async () => (await import("./search.js")).Search);
const Keys = lazy(async () => (await import("./search.js")).Keys);

export function Frame() {
  useKeys();
  return html`
    <a class="skip" href="#page" onClick=${toPage}>${words.skip}</a>
    <div class="shell">
      <${Navigation} />
      <div class="body"><${Banner} /><${Current} /></div>
    </div>
    ${overlay.value === "search" && html`<${Search} />`}
    ${overlay.value === "keys" && html`<${Keys} />`}`;
}

/** @param {Event} event */
function toPage(event) {
  event.preventDefault();
  document.getElementById("page")?.focus();
}

/** A thin bar while requests take longer than 300 ms. */
function Progress() {
  return busy.value > 0 && html`<div class="progress" role="progressbar" aria-label=${words.working}></div>`;
}

function Banner() {
  if (connection.value === "lost") return html`<p class="banner" role="status">${words.lost}</p>`;
  if (connection.value === "signed-out") {
    return html`<p class="banner" role="alert">${words.signedOut} <a href="/console/settings" target="_blank">${words.signIn}</a></p>`;
  }
  return null;
}

function Navigation() {
  const row = useRef(/** @type {HTMLElement | null} */ (null));
  const id = match(address.value.path)?.page.id;
  useEffect(() => {
    const current = row.current?.querySelector("[aria-current]");
    if (current instanceof HTMLElement && row.current) row.current.scrollLeft = current.offsetLeft - row.current.offsetWidth / 2 + current.offsetWidth / 2;
  }, [id]);

  return html`<header class="side">
    <${Progress} />
    <a class="brand" href="/">${PRODUCT}</a>
    <button class="search-button" onClick=${() => (overlay.value = "search")} aria-label=${words.search} title=${words.openSearch}>
      <${Icon} name="search" /><span>${words.search}</span><kbd>/</kbd>
    </button>
    <nav aria-label=${words.navigation} ref=${row}>
      ${NAVIGATION.filter((group) => group.length).map((group) => html`<ul>${group.map(([page, target]) => html`
        <li><a href=${target} aria-current=${isCurrent(id, page) ? "page" : undefined}>
          ${PAGE_NAMES[page]}${page === "inbox" && waitingCount.value > 0 && html`<span class="badge" title=${words.needYou(waitingCount.value)}>${waitingCount.value}</span>`}
        </a></li>`)}</ul>`)}
    </nav>
  </header>`;
}

/** A run belongs to Runs, a workflow to Workflows. @param {string | undefined} id @param {string} page */
const isCurrent = (id, page) => id === page || `${id}s` === page;

/** @type {Map<string, Function>} */
const loaded = new Map();

function Current() {
  const { path } = address.value;
  const found = match(path);
  const id = found?.page.id ?? "";
  const [, setReady] = useState("");
  const first = useRef(true);

  useEffect(() => {
    if (!found || loaded.has(id)) return;
    loadPart(found.page.load).then(
      (module) => {
        loaded.set(id, module.default);
        setReady(id);
      },
      () => {},
    );
  }, [id]);

  useEffect(() => {
    if (!first.current) document.getElementById("page")?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);

  const Page = loaded.get(id);
  return html`<main id="page" tabindex="-1">
    ${!found && html`<div class="empty"><h1>${words.notFound}</h1><a class="button" href="/">${words.toHome}</a></div>`}
    ${Page && html`<${Page} key=${path} parameters=${found?.parameters} />`}
  </main>`;
}
