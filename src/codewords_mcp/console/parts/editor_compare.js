// Two texts of a program beside each other, or one under the other where there is no room.
import { html, loadEditor, useEffect, useRef } from "../ui.js";
import { conflict as words } from "../strings_drafts.js";
import { basics, writing } from "./editor_setup.js";

const WIDE = "(min-width: 70rem)";
/** Unchanged lines that stay around a change. */
const COLLAPSE = { margin: 3, minSize: 6 };

/**
 * @param {object} properties
 * @param {string} properties.before
 * @param {string} properties.after
 * @param {[string, string]} properties.names  Of the two texts.
 * @param {(text: string) => void} properties.onChange  The second text can be changed, and gets changes taken from the first.
 * @param {() => void} properties.onSave
 */
export function Compare({ before, after, names, onChange, onSave }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const latest = useRef({ onChange, onSave, text: after });
  Object.assign(latest.current, { onChange, onSave });

  useEffect(() => {
    const wide = matchMedia(WIDE);
    let shown = /** @type {{destroy(): void} | null} */ (null);
    let gone = false;
    latest.current.text = after;
    const show = async () => {
      const cm = await loadEditor();
      if (gone || !place.current) return;
      shown?.destroy();
      const tells = cm.EditorView.updateListener.of((update) => {
        if (!update.docChanged) return;
        latest.current.text = update.view.state.doc.toString();
        latest.current.onChange(latest.current.text);
      });
      const second = [...basics(cm, { label: names[1] }), ...writing(cm, () => latest.current.onSave()), cm.EditorState.phrases.of(words.phrases), tells];
      shown = wide.matches
        ? new cm.MergeView({
          a: { doc: before, extensions: basics(cm, { label: names[0], readOnly: true }) }, b: { doc: latest.current.text, extensions: second },
          parent: place.current, collapseUnchanged: COLLAPSE, gutter: false, revertControls: "a-to-b",
        })
        : new cm.EditorView({
          state: cm.EditorState.create({ doc: latest.current.text, extensions: [...second, cm.unifiedMergeView({ original: before, mergeControls: true, collapseUnchanged: COLLAPSE, gutter: false })] }),
          parent: place.current,
        });
    };
    show();
    wide.addEventListener("change", show);
    return () => {
      gone = true;
      wide.removeEventListener("change", show);
      shown?.destroy();
    };
  }, [before]);
  return html`<div class="compare"><div class="compare-names" aria-hidden="true"><span>${names[0]}</span><span>${names[1]}</span></div><div class="compare-place" ref=${place}></div></div>`;
}
