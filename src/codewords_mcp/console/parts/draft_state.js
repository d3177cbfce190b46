// One draft in the editor: its text, what is stored of it, and what somebody else stored meanwhile.
import { call, onChange, post } from "../api.js";
import { go, href } from "../router.js";
import { useCallback, useEffect, useRef, useState } from "../ui.js";
import { begin, NEW, ofDraft, pathOf, stored } from "./draft_begin.js";

/** @typedef {import("./draft_begin.js").Open} Open */
/** @typedef {{text: string, revision: number}} Kept */

/** Text that is not stored survives a reload of the page. @param {string} key @returns {Kept | null} */
function kept(key) {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/** @param {string} key @param {Kept | null} value */
function keep(key, value) {
  try {
    if (value) sessionStorage.setItem(key, JSON.stringify(value));
    else sessionStorage.removeItem(key);
  } catch {
    // Full or forbidden: then a reload loses it.
  }
}

/** @param {string} id */
const keyOf = (id) => `draft ${id}`;

/** @param {string} id @param {URLSearchParams} query */
export function useDraft(id, query) {
  const key = id === NEW ? keyOf(`${NEW} ${query.get("workflow") ?? ""} ${query.get("template") ?? ""}`) : keyOf(id);
  const [open, setOpen] = useState(/** @type {Open | null} */ (null));
  const [text, setText] = useState(/** @type {string | null} */ (null));
  /** What the editor is to show; what is typed in it comes back as `text` alone, later than more of it is typed. */
  const [content, setContent] = useState({ text: "" });
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  /** What was stored elsewhere while the text was changed here; `gone` where the draft was deployed or deleted. */
  const [other, drawOther] = useState(/** @type {Open | "gone" | null} */ (null));
  const [restored, setRestored] = useState(false);
  const [saving, setSaving] = useState(false);
  const latest = useRef({ open, text, other, closed: false });

  /** @param {typeof other} found */
  const setOther = (found) => {
    latest.current.other = found;
    drawOther(found);
  };

  /** @param {Open} next @param {string} code @param {typeof other} unsettled what the person still has to choose from */
  const show = (next, code, unsettled = null) => {
    if (code !== latest.current.text) setContent({ text: code });
    // At once: a change that is heard of before the next drawing is compared with this.
    Object.assign(latest.current, { open: next, text: code });
    setOpen(next);
    setText(code);
    setOther(unsettled);
    // Of no revision where a reload has to ask again.
    keep(key, code === next.stored ? null : { text: code, revision: (!unsettled && next.draft?.revision) || 0 });
  };

  const load = async (/** @type {AbortSignal | undefined} */ signal) => {
    try {
      const found = id === NEW ? await begin(query, { signal }) : await stored(id, { signal });
      if (signal?.aborted) return;
      const before = kept(key);
      if (id === NEW && found.draft) {
        // What was written for a draft that somebody else began meanwhile is shown beside theirs.
        if (before) keep(keyOf(found.draft.draft_id), before);
        keep(key, null);
        go(href(`/console/drafts/${found.draft.draft_id}`, { line: query.get("line") }), { replace: true });
        return;
      }
      const unsaved = before !== null && before.text !== found.stored;
      setRestored(unsaved);
      const since = unsaved && before.revision < (found.draft?.revision ?? 0);
      show(found, unsaved ? before.text : found.stored, since ? found : null);
    } catch (error) {
      if (!signal?.aborted) setProblem(error);
    }
  };
  useEffect(() => {
    const abort = new AbortController();
    load(abort.signal);
    return () => abort.abort();
  }, []);

  const change = (/** @type {string} */ code) => {
    const now = latest.current.open;
    if (!now) return;
    latest.current.text = code;
    setText(code);
    keep(key, code === now.stored ? null : { text: code, revision: now.draft?.revision ?? 0 });
  };

  /** Look whether somebody else stored another text. */
  const look = useCallback(async () => {
    const before = latest.current.open?.draft;
    if (!before || latest.current.closed) return;
    try {
      const found = await stored(before.draft_id, { quiet: true });
      const { open: now, text: typed, closed } = latest.current;
      if (closed || !now?.draft || typed === null || found.draft.revision < now.draft.revision) return;
      if (found.stored === now.stored) show(found, typed, latest.current.other && found);
      else if (typed === now.stored || typed === found.stored) show(found, found.stored);
      else setOther(found);
    } catch (/** @type {any} */ error) {
      if (error.status === 404 && !latest.current.closed) setOther("gone");
    }
  }, []);
  useEffect(() => onChange(({ name }) => void ((name === "drafts" || name === "again") && look())), []);

  /** Store a text in what it is for; false where it was not. @param {Open | null} [into] @param {string | null} [code] */
  const save = async (into = latest.current.open, code = latest.current.text) => {
    if (!into || code === null || saving) return false;
    const typed = latest.current.text;
    setSaving(true);
    setProblem(null);
    try {
      const { draft } = await sent(into, code);
      const later = typed === code ? latest.current.text ?? code : code;
      setRestored(false);
      show(ofDraft({ ...draft, code }), later);
      if (!into.draft) {
        keep(key, null);
        if (later !== code) keep(keyOf(draft.draft_id), { text: later, revision: draft.revision });
        go(href(`/console/drafts/${draft.draft_id}`, { tab: query.get("tab") }), { replace: true });
      }
      return true;
    } catch (/** @type {any} */ error) {
      setProblem(error);
      if (error.status === 409 && !into.draft && into.workflow) await meet();
      else look();
      return false;
    } finally {
      setSaving(false);
    }
  };

  /** Somebody began a draft of the workflow, or deployed another version: show that beside what was written. */
  const meet = async () => {
    const found = await begin(query, {});
    if (found.draft) await load(undefined);
    else setOther(found);
  };

  const close = () => {
    latest.current.closed = true;
    keep(key, null);
  };
  /** Deploy what is stored: the draft is gone before the answer is here, and nobody looks for it meanwhile. @template T @param {() => Promise<T>} act */
  const deploy = async (act) => {
    latest.current.closed = true;
    try {
      const done = await act();
      close();
      return done;
    } catch (error) {
      latest.current.closed = false;
      look();
      throw error;
    }
  };
  return {
    open, text, content, problem, other, restored, saving, change, save, close, deploy,
    changed: open !== null && text !== open.stored,
    /** What is stored by now. */
    stored: () => latest.current.open?.draft,
    /** Go on with what is stored there. @param {Open} next */
    take: (next) => {
      setRestored(false);
      setProblem(null);
      show(next, next.stored);
    },
    remove: async () => {
      close();
      if (open?.draft) await call("DELETE", pathOf(open.draft.draft_id));
      go("/console/drafts");
    },
  };
}

/** @param {Open} into @param {string} code */
function sent({ draft, workflow, base }, code) {
  if (draft) return post(`${pathOf(draft.draft_id)}/edits`, { code, revision: draft.revision });
  if (workflow) return post(`/workflows/${encodeURIComponent(workflow)}/edits`, { code, revision: 0, base_version: base });
  return post("/drafts", { code });
}
