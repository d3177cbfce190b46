// A draft: its code with what the checks find, trying it, its difference to what is live, and its deploy.
import { visible } from "../format.js";
import { address, setQuery } from "../router.js";
import { PAGE_NAMES } from "../strings.js";
import { draft as words, drafts as listWords } from "../strings_drafts.js";
import { html, useEffect, useMemo, useState } from "../ui.js";
import { Confirm } from "../parts/confirm.js";
import { Conflict } from "../parts/draft_conflict.js";
import { useDraft } from "../parts/draft_state.js";
import { Editor } from "../parts/editor.js";
import { Findings, headerOf, useChecks } from "../parts/findings.js";
import { lazy } from "../parts/lazy.js";
import { WorkflowLink } from "../parts/link.js";
import { nameOf } from "../parts/names.js";
import { Progress } from "../parts/progress.js";
import { Problem } from "../parts/resource.js";
import { Tabs } from "../parts/tabs.js";
import { Text, useTitle, When } from "../parts/text.js";

const RESET = { line: null };
const Deployed = lazy(async () => (await import("../parts/draft_deployed.js")).Deployed);
const TABS = /** @type {Record<string, Function>} */ ({
  try: lazy(async () => (await import("../parts/draft_try.js")).Try),
  diff: lazy(async () => (await import("../parts/draft_difference.js")).ToLive),
  deploy: lazy(async () => (await import("../parts/draft_review.js")).Review),
});

/** @param {{parameters: string[]}} properties */
export default function Draft({ parameters: [id] }) {
  const { query } = address.value;
  const state = useDraft(id, query);
  const { open, text, problem } = state;
  const saved = useMemo(() => (open?.draft || open?.workflow ? { text: open.stored, checks: open.draft?.checks ?? null } : null), [open]);
  const checked = useChecks(text, saved, open?.draft?.draft_id ?? null);
  const [removing, setRemoving] = useState(false);
  const [jump, setJump] = useState(/** @type {{line: number} | null} */ (null));
  const wanted = Number(query.get("line"));
  useEffect(() => {
    if (open && wanted) setJump({ line: wanted });
  }, [open !== null, wanted]);

  const [done, setDone] = useState(/** @type {any} */ (null));
  const name = open ? nameIn(open) : "";
  const errors = checked.found.filter((one) => one.severity === "error").length;
  const headline = !open ? "" : errors ? words.headline.problems(name, errors) : state.changed ? words.headline.changed(name) : open.draft ? words.headline.ready(name) : words.headline.fresh(name);
  useTitle(headline || PAGE_NAMES.drafts);
  if (done) return html`<${Deployed} deployment=${done} />`;
  if (!open || text === null) {
    return html`<${Problem} error=${problem} all=${["/console/drafts", words.all]} />`;
  }

  const chosen = query.get("tab") ?? "code";
  const tab = Object.hasOwn(TABS, chosen) ? chosen : "code";
  const choosing = state.other !== null && state.other !== "gone";
  const toLine = (/** @type {number} */ line) => {
    setQuery({ tab: null, line: null });
    setJump({ line });
  };
  return html`
    <${Head} state=${state} headline=${headline} onRemove=${() => setRemoving(true)} />
    <${Problem} error=${problem} />
    <${Conflict} state=${state} />
    ${state.restored && state.other === null && html`<section class="card attention split"><span>${words.restored}</span><button onClick=${() => state.take(open)}>${open.draft ? words.discardTo(open.draft.revision) : words.discardNew}</button></section>`}
    ${!choosing && html`<${Tabs} label=${words.sections} tabs=${words.tabs} chosen=${tab} reset=${RESET} />`}
    ${state.saving && html`<${Progress} of=${null} label=${words.saving} />`}
    <div hidden=${tab !== "code" || choosing}>
      <${Editor} content=${state.content} label=${words.editor(name)} findings=${checked.found} jump=${jump} onChange=${state.change} onSave=${() => state.save()} />
      <p class="hint dim"><span>${words.saveHint}</span><span>${words.escape}</span></p>
      ${state.changed && saved && headerOf(saved.text) !== headerOf(text) && html`<p class="dim" role="status">${words.header}</p>`}
      <${Findings} checked=${checked} onLine=${toLine} />
    </div>
    ${tab !== "code" && !choosing && html`<${TABS[tab]} state=${state} name=${name} onDone=${setDone} />`}
    ${removing && html`<${Confirm} title=${listWords.removeTitle(name)} lead=${listWords.removeLead} action=${listWords.remove(name)} keep=${listWords.keep} act=${state.remove} onClose=${() => setRemoving(false)} />`}`;
}

/** The name of what is written: of its workflow where there is one. @param {import("../parts/draft_begin.js").Open} open */
const nameIn = (open) => visible((open.workflow ? nameOf(open.workflow) : open.name) || words.fresh);

/** @param {{state: ReturnType<typeof useDraft>, headline: string, onRemove: () => void}} properties */
function Head({ state, headline, onRemove }) {
  const { open, changed, saving, other } = state;
  const stored = open?.draft;
  return html`<header class="head">
    <nav class="crumbs" aria-label=${PAGE_NAMES.drafts}><a href="/console/drafts">${PAGE_NAMES.drafts}</a></nav>
    <div class="split"><h1><${Text} of=${headline} /></h1><div class="actions">
      <button class=${changed || !stored ? "primary" : ""} disabled=${saving || other !== null || (!changed && !stored && Boolean(open?.workflow))} title=${words.saveHint} onClick=${() => state.save()}>${changed || !stored ? words.save : words.check}</button>
      <button class="danger" onClick=${onRemove}>${listWords.removeShort}</button></div></div>
    <dl class="facts">
      ${open?.workflow && html`<div title=${words.facts.of}><dt>${words.facts.of}</dt><dd><${WorkflowLink} id=${open.workflow} /> ${open.base !== null && words.of(open.base)}</dd></div>`}
      <div title=${words.facts.revision}><dt>${words.facts.revision}</dt><dd>${stored ? words.revision(stored.revision) : words.unsaved}</dd></div>
      ${stored && html`<div title=${words.facts.changed}><dt>${words.facts.changed}</dt><dd><${When} at=${stored.updated_at} /></dd></div>`}
    </dl></header>`;
}
