// A deploy of a draft: what it changes in code, permissions, behaviour and cost; below what was read, the button.
import { long } from "../api.js";
import { visible } from "../format.js";
import { setQuery } from "../router.js";
import { review as words } from "../strings_drafts.js";
import { html, useEffect, useState } from "../ui.js";
import { Changes, Lines } from "./changes.js";
import { asked, Consent } from "./consent.js";
import { Difference } from "./code.js";
import { Progress } from "./progress.js";
import { Permissions } from "./reach.js";
import { Problem } from "./resource.js";

/** @typedef {{working?: string, progress?: any, error?: any, found?: any, question?: any}} Work */

/** @param {{state: any, onDone: (deployment: any) => void}} properties */
export function Review({ state, onDone }) {
  const [work, setWork] = useState(/** @type {Work} */ ({}));
  const [base, setBase] = useState(/** @type {number | null} */ (null));
  const stored = state.open.draft;
  const unsaved = state.changed || !stored;
  const body = { revision: stored?.revision, ...(base ? { base_version: base } : {}) };

  useEffect(() => {
    if (unsaved) return undefined;
    const abort = new AbortController();
    setWork({ working: words.reviewing });
    long(`/drafts/${stored.draft_id}/review`, body, (progress) => !abort.signal.aborted && setWork({ working: words.reviewing, progress }), abort.signal).then(
      (found) => !abort.signal.aborted && setWork({ found }),
      (error) => !abort.signal.aborted && setWork({ error }),
    );
    return () => abort.abort();
  }, [unsaved, stored?.revision, base]);

  const deploy = async (/** @type {string | null} */ confirm) => {
    const { found } = work;
    setWork({ found, working: words.deploying });
    try {
      onDone(await state.deploy(() => long("/deploy", { draft_id: stored.draft_id, ...body, ...(confirm ? { confirm } : {}) }, (progress) => setWork({ found, working: words.deploying, progress }))));
    } catch (error) {
      settle(error, confirm);
    }
  };
  /** A question for just what was read is answered by the button below it. @param {any} error @param {string | null} confirm */
  const settle = (error, confirm) => {
    const { found } = work;
    try {
      const question = asked(error);
      if (!confirm && question.asks.join("\n") === found.asks.join("\n")) deploy(question.confirm);
      else setWork({ found, question });
    } catch {
      setWork({ found, error });
    }
  };

  if (unsaved) return html`<section class="card attention"><p>${words.changed}</p><button class="primary" disabled=${state.saving} onClick=${() => state.save()}>${words.save}</button></section>`;
  const { found, question } = work;
  return html`
    ${found && html`<${Found} found=${found} />`}
    ${work.working && html`<${Progress} of=${work.progress ?? null} label=${work.working} />`}
    <${Refused} error=${work.error} onOver=${setBase} />
    ${found?.changed && html`<div class="actions"><button class="primary" disabled=${Boolean(work.working)} onClick=${() => deploy(null)}>${(found.asks.length ? words.agree : words.deploy)(found.version, visible(found.name))}</button></div>`}
    ${question && html`<${Consent} question=${question} act=${words.act(found.version, visible(found.name))} onAgree=${() => deploy(question.confirm)} onClose=${() => setWork({ found })} />`}`;
}

/** The four differences, in the order in which they are read. @param {{found: any}} properties */
function Found({ found }) {
  if (!found.changed) return html`<p role="status">${words.unchanged(found.version)}</p>`;
  return html`<${Changes} changes=${found.changes} capabilities=${found.capabilities} />
    ${found.notes.length > 0 && html`<section class="card"><header><h2>${words.notes}</h2></header><${Lines} of=${found.notes.map((/** @type {any} */ note) => note.message)} /></section>`}
    ${found.asks.length > 0 && html`<section class="card attention"><header><h2>${words.asks}</h2></header><p class="dim">${words.asksLead}</p><${Permissions} lines=${found.asks} /></section>`}`;
}

/** Why it was not reviewed or deployed. Where another version went live meanwhile, both differences. @param {{error: any, onOver: (version: number) => void}} properties */
function Refused({ error, onOver }) {
  if (!error) return null;
  const facts = error.body?.error ?? error.body ?? {};
  return html`<${Problem} error=${error}>
    ${error.body?.error?.code === "validation_failed" && html`<button onClick=${() => setQuery({ tab: null })}>${words.problems}</button>`}
    ${facts.live_version && html`<h3>${words.outdated}</h3><${Difference} text=${facts.live_changes} label=${words.outdated} /><h3 class="below">${words.own}</h3><${Difference} text=${facts.own_changes} label=${words.own} />
      <div class="actions below"><button onClick=${() => onOver(facts.live_version)}>${words.over(facts.live_version)}</button></div>`}<//>`;
}
