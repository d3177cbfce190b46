// Addresses: the page, its parts, and what is selected live in the address bar.
import { signal } from "./ui.js";

/**
 * @typedef {object} Page
 * @property {string} id
 * @property {RegExp} pattern  Its groups are the page's parameters.
 * @property {() => Promise<{default: Function}>} load
 */

/** @type {Page[]} */
export const PAGES = [
  { id: "home", pattern: /^\/(?:console)?$/, load: () => import("./pages/home.js") },
  { id: "runs", pattern: /^\/console\/runs$/, load: () => import("./pages/runs.js") },
  { id: "run", pattern: /^\/console\/runs\/([^/]+)$/, load: () => import("./pages/run.js") },
  { id: "workflows", pattern: /^\/console\/workflows$/, load: () => import("./pages/workflows.js") },
  { id: "workflow", pattern: /^\/console\/workflows\/([^/]+)$/, load: () => import("./pages/workflow.js") },
  { id: "drafts", pattern: /^\/console\/drafts$/, load: () => import("./pages/drafts.js") },
  { id: "draft", pattern: /^\/console\/drafts\/([^/]+)$/, load: () => import("./pages/draft.js") },
  { id: "templates", pattern: /^\/console\/templates$/, load: () => import("./pages/templates.js") },
  { id: "services", pattern: /^\/console\/services$/, load: () => import("./pages/services.js") },
  { id: "service", pattern: /^\/console\/services\/([^/]+)$/, load: () => import("./pages/service.js") },
  { id: "integrations", pattern: /^\/console\/integrations$/, load: () => import("./pages/integrations.js") },
  { id: "integration", pattern: /^\/console\/integrations\/([^/]+)$/, load: () => import("./pages/integration.js") },
  { id: "api", pattern: /^\/console\/api$/, load: () => import("./pages/api.js") },
  { id: "inbox", pattern: /^\/console\/inbox$/, load: () => import("./pages/inbox.js") },
  { id: "usage", pattern: /^\/console\/usage$/, load: () => import("./pages/usage.js") },
  { id: "schedules", pattern: /^\/console\/schedules$/, load: () => import("./pages/schedules.js") },
  { id: "secrets", pattern: /^\/console\/secrets$/, load: () => import("./pages/secrets.js") },
  { id: "members", pattern: /^\/console\/members$/, load: () => import("./pages/members.js") },
  { id: "audit", pattern: /^\/console\/audit$/, load: () => import("./pages/audit.js") },
  { id: "settings", pattern: /^\/console\/settings$/, load: () => import("./pages/settings.js") },
];

/** Navigation: the page's id, its address, the key after `g`. Entries of one group stand together. */
export const NAVIGATION = [
  [["home", "/", "h"], ["inbox", "/console/inbox", "i"]],
  [["runs", "/console/runs", "r"], ["workflows", "/console/workflows", "w"], ["drafts", "/console/drafts", "d"],
    ["schedules", "/console/schedules", "s"]],
  [["templates", "/console/templates", "t"], ["services", "/console/services", "v"],
    ["integrations", "/console/integrations", "n"], ["api", "/console/api", "a"]],
  [["secrets", "/console/secrets", "k"], ["usage", "/console/usage", "u"], ["members", "/console/members", "m"],
    ["settings", "/console/settings", "e"]],
].map((group) => group.filter(([id]) => PAGES.some((page) => page.id === id)));

const here = () => ({ path: location.pathname.replace(/(.)\/$/, "$1"), query: new URLSearchParams(location.search) });

/** Where the person is. */
export const address = signal(here());

/** A part of an address; as it stands where its percent signs mean nothing. @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The page of a path, with its parameters. @param {string} path */
export function match(path) {
  for (const page of PAGES) {
    const found = page.pattern.exec(path);
    if (found) return { page, parameters: found.slice(1).map(decoded) };
  }
  return null;
}

/** An address with a query; empty values are left out. @param {string} path @param {Record<string, unknown>} [query] */
export function href(path, query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/** Browsers stop taking addresses that change more often, as with a key that is held. */
const WRITE_MS = 100;
let unwritten = "";
let timer = 0;

/** Put the query that was set last into the address bar. */
function write() {
  if (unwritten) history.replaceState(history.state, "", unwritten);
  clearTimeout(timer);
  unwritten = "";
  timer = 0;
}

/** Go to a page of the console. @param {string} target @param {{replace?: boolean}} [options] */
export function go(target, { replace = false } = {}) {
  write();
  if (replace) {
    history.replaceState(history.state, "", target);
  } else {
    history.replaceState({ top: scrollY }, "");
    history.pushState(null, "", target);
    scrollTo(0, 0);
  }
  address.value = here();
}

/** Change parts of the query; null removes one. @param {Record<string, unknown>} changes @param {{push?: boolean}} [options] */
export function setQuery(changes, { push = false } = {}) {
  const { path, query } = address.peek();
  const before = Object.fromEntries(query);
  const target = href(path, { ...before, ...changes });
  if (target === href(path, before)) return;
  if (push) {
    go(target);
    return;
  }
  address.value = { path, query: new URLSearchParams(target.slice(path.length)) };
  unwritten = target;
  timer ||= setTimeout(write, WRITE_MS);
}

/** Follow links within the console without loading the shell again. */
export function followLinks() {
  history.scrollRestoration = "manual";
  addEventListener("popstate", (event) => {
    unwritten = "";
    address.value = here();
    restoreScroll(event.state?.top ?? 0);
  });
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    if (link.origin !== location.origin || link.target || link.hasAttribute("download") || !match(link.pathname)) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

/** Scroll to where the person was once the page is tall enough again. @param {number} top */
function restoreScroll(top) {
  const until = performance.now() + 2000;
  const step = () => {
    scrollTo(0, top);
    if (Math.abs(scrollY - top) > 2 && performance.now() < until) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
