// An editor of Python code: it is told what was found wrong, and tells what was typed.
import { html, loadEditor, useEffect, useRef, useState } from "../ui.js";
import { basics, writing } from "./editor_setup.js";

/** @typedef {import("./findings.js").Finding} Finding */
/** @typedef {import("./editor_setup.js").CodeMirror} CodeMirror */
/** @typedef {{view: import("../vendor/codemirror.js").EditorView, cm: CodeMirror}} Open */

/** What an editor leaves to the one that takes its place under another address: its history and selection. */
let left = /** @type {{text: string, state: unknown} | null} */ (null);

/**
 * @param {object} properties
 * @param {{text: string}} properties.content  Another object replaces what is in the editor.
 * @param {string} properties.label
 * @param {Finding[]} properties.findings
 * @param {{line: number} | null} properties.jump  A line to go to; another object goes there again.
 * @param {(text: string) => void} properties.onChange
 * @param {() => void} properties.onSave
 */
export function Editor({ content, label, findings, jump, onChange, onSave }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const [open, setOpen] = useState(/** @type {Open | null} */ (null));
  const latest = useRef({ content, onChange, onSave });
  Object.assign(latest.current, { content, onChange, onSave });

  useEffect(() => {
    let view = /** @type {import("../vendor/codemirror.js").EditorView | null} */ (null);
    let fields = /** @type {Record<string, unknown>} */ ({});
    let gone = false;
    loadEditor().then((cm) => {
      if (gone || !place.current) return;
      fields = { history: cm.historyField };
      const extensions = [
        ...basics(cm, { label }), ...writing(cm, () => latest.current.onSave()),
        cm.EditorView.updateListener.of((update) => {
          if (update.docChanged) latest.current.onChange(update.view.state.doc.toString());
        }),
      ];
      const before = left?.text === latest.current.content.text ? left.state : null;
      const state = before ? cm.EditorState.fromJSON(before, { extensions }, fields) : cm.EditorState.create({ doc: latest.current.content.text, extensions });
      view = new cm.EditorView({ state, parent: place.current });
      if (before) view.focus();
      left = null;
      setOpen({ view, cm });
    });
    return () => {
      gone = true;
      if (!view) return;
      left = { text: view.state.doc.toString(), state: view.state.toJSON(fields) };
      view.destroy();
    };
  }, []);

  useEffect(() => {
    if (open && open.view.state.doc.toString() !== content.text) replace(open, content.text);
  }, [open, content]);
  useEffect(() => {
    if (open) mark(open, findings);
  }, [open, findings]);
  useEffect(() => {
    if (open && jump) goTo(open, jump.line);
  }, [open, jump]);
  return html`<div class="editor" ref=${place}></div>`;
}

/** Other text in the same editor: what stays the same keeps its place. @param {Open} open @param {string} text */
function replace({ view }, text) {
  const before = view.state.doc.toString();
  let from = 0;
  while (from < Math.min(before.length, text.length) && before[from] === text[from]) from += 1;
  let end = 0;
  while (end < Math.min(before.length, text.length) - from && before.at(-1 - end) === text.at(-1 - end)) end += 1;
  view.dispatch({ changes: { from, to: before.length - end, insert: text.slice(from, text.length - end) } });
}

/** @param {Open} open @param {Finding[]} findings */
function mark({ view, cm }, findings) {
  const { doc } = view.state;
  const marks = findings.filter(({ line }) => line && line <= doc.lines).map(({ line, column, severity, message, fix }) => {
    const at = doc.line(/** @type {number} */ (line));
    const from = Math.min(at.from + Math.max(0, (column ?? 1) - 1), at.to);
    return { from, to: at.to, severity, message: fix ? `${message}\n${fix}` : message };
  });
  view.dispatch(cm.setDiagnostics(view.state, marks));
}

/** @param {Open} open @param {number} number */
function goTo({ view, cm }, number) {
  const line = view.state.doc.line(Math.max(1, Math.min(number, view.state.doc.lines)));
  view.dispatch({ selection: { anchor: line.from }, effects: cm.EditorView.scrollIntoView(line.from, { y: "center" }) });
  view.focus();
}
