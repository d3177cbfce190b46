// What all cards have in common: theme, waiting, errors, a question of the runtime, and the way to the console.
import { cards as words } from "./strings.js";
import { effect, html, render, useEffect, useState } from "../ui.js";
import { Problem } from "../parts/resource.js";
import { Text } from "../parts/text.js";
import { get } from "./api.js";
import { cancelled, connect, context, result, state } from "./host.js";
import { consolePage, followLinks, notOpened, openLink } from "./links.js";

const POLL_MS = 2000;
/** Tokens of the console that take a host's colours where it gives them. */
const COLOURS = [["ink", "text-primary"], ["dim", "text-secondary"], ["card", "background-primary"], ["page", "background-secondary"], ["hover", "background-tertiary"], ["line", "border-primary"]];

/** Show a card in the page. @param {string} name @param {Function} Card */
export function show(name, Card) {
  effect(() => dress(context.value));
  followLinks();
  render(html`<${Frame} of=${Card} />`, document.getElementById("app"));
  connect(`codewords-${name}`, document.documentElement.dataset.version ?? "");
}

/** Take the host's theme and colours. @param {Record<string, any>} host */
function dress({ theme, styles }) {
  const { style, dataset } = document.documentElement;
  const shown = theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  dataset.theme = shown;
  style.colorScheme = shown;
  const given = styles?.variables ?? {};
  for (const [name, value] of Object.entries(given)) if (value) style.setProperty(name, value);
  for (const [own, theirs] of COLOURS) {
    if (given[`--color-${theirs}`]) style.setProperty(`--${own}`, `var(--color-${theirs})`);
  }
}

/** @param {{of: Function}} properties */
function Frame({ of: Card }) {
  const found = result.value;
  const page = consolePage.value;
  return html`<main>${found ? html`<${Body} of=${Card} found=${found} />` : html`<p class="dim" role="status">${pendingWords()}</p>`}
    ${notOpened.value && html`<div class="problem" role="status"><p>${words.notOpened}</p><p class="mono address"><${Text} of=${notOpened.value} /></p></div>`}
    ${page && html`<footer><button class="link" onClick=${() => openLink(page)}>${words.console}</button></footer>`}</main>`;
}

function pendingWords() {
  if (cancelled.value !== null) return words.cancelled(cancelled.value);
  return state.value === "silent" ? words.silent : `${words.waiting} …`;
}

/** @param {{of: Function, found: any}} properties */
function Body({ of: Card, found }) {
  if (!found.isError) return html`<${Card} data=${found.structuredContent ?? {}} />`;
  const error = found._meta?.["codewords/error"];
  if (error?.url) return html`<${Question} message=${error.message} asks=${error.asks ?? []} url=${error.url} />`;
  const said = (found.content ?? []).map((/** @type {any} */ one) => one.text ?? "").join("\n");
  return html`<${Problem} error=${error ?? { message: said }} />`;
}

/** Lines of a question without the marks that a model sees around them. @param {string[]} lines */
const unfenced = (lines) => lines.filter((line) => !/^<\/?[0-9a-f]{8}>/.test(line));

/**
 * A question of the runtime: a button leads to it, and it is answered in the console only.
 * @param {{message: string, asks: string[], url: string, onAnswered?: () => void, children?: unknown}} properties
 */
export function Question({ message, asks, url, onAnswered, children }) {
  const [opened, setOpened] = useState(false);
  const answered = useAnswered(url, opened);
  useEffect(() => {
    if (answered) onAnswered?.();
  }, [answered]);
  return html`<section class="question"><p><strong><${Text} of=${message} /></strong></p>
    ${asks.length > 0 && html`<${Asked} lines=${unfenced(asks)} />`}${children}
    ${answered ? html`<p role="status">${words.answered}</p>` : html`<p class="actions"><button class="primary" onClick=${() => { setOpened(true); openLink(url); }}>${words.approve}</button></p>
      ${opened && html`<p class="dim" role="status">${words.opened}</p>`}`}</section>`;
}

/** Permissions, or the fields of a write: the kind in the first column. @param {{lines: string[]}} properties */
const Asked = ({ lines }) => html`<dl class="permissions">${lines.map((line) => {
  const [, kind, what] = /^(\S+)\s+(.*)$/.exec(line) ?? ["", "", line];
  return html`<div><dt><${Text} of=${kind} /></dt><dd><${Text} of=${what} /></dd></div>`;
})}</dl>`;

/** Whether the page of an address waits no longer for a person. @param {string} url @param {boolean} watch */
export function useAnswered(url, watch) {
  const [answered, setAnswered] = useState(false);
  useEffect(() => {
    if (!watch || answered) return undefined;
    const { pathname } = new URL(url);
    const timer = setInterval(async () => {
      const { items } = await get("/waiting").catch(() => ({ items: [{ path: pathname }] }));
      if (!items.some((/** @type {any} */ one) => one.path === pathname)) setAnswered(true);
    }, POLL_MS);
    return () => clearInterval(timer);
  }, [watch, answered]);
  return answered;
}
