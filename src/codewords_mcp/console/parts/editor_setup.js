// The code editor in the console's colours, with Python, marks for deceiving characters, and search.
import { DECEIVING_IN_CODE, codeOf } from "../format.js";
import { common } from "../strings.js";
import { loadEditor } from "../ui.js";

/** @typedef {Awaited<ReturnType<typeof loadEditor>>} CodeMirror */

/** @param {CodeMirror} cm */
const theme = ({ EditorView }) => EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--card)", font: "var(--mono)", border: "1px solid var(--line)", borderRadius: "8px", overflow: "hidden" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "1px" },
  ".cm-scroller": { font: "inherit", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)", padding: ".5rem 0" },
  "&.cm-focused .cm-cursor, .cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "var(--page)", color: "var(--dim)", border: "0", borderRight: "1px solid var(--line)" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  "& > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--accent) 24%, transparent)" },
  ".cm-selectionMatch, .cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--warn) 24%, transparent)" },
  ".cm-searchMatch-selected": { backgroundColor: "color-mix(in srgb, var(--warn) 48%, transparent)" },
  // Upon the colour of a match those of the syntax are too pale.
  ".cm-searchMatch, .cm-searchMatch *, .cm-selectionMatch *": { color: "var(--ink)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "color-mix(in srgb, var(--good) 24%, transparent)" },
  "&.cm-focused .cm-nonmatchingBracket": { backgroundColor: "color-mix(in srgb, var(--bad) 24%, transparent)" },
  ".cm-panels, .cm-tooltip": { color: "var(--ink)", backgroundColor: "var(--card)", borderColor: "var(--line)" },
  ".cm-panels": { borderTop: "1px solid var(--line)" },
  ".cm-panel.cm-search": { font: ".9rem/1.5 system-ui, sans-serif", display: "flex", flexWrap: "wrap", gap: ".3rem", padding: ".5rem 2.4rem .5rem .6rem", alignItems: "center" },
  ".cm-panel.cm-search br": { display: "none" },
  ".cm-panel.cm-search input, .cm-panel.cm-search button, .cm-panel.cm-search label": { margin: "0", fontSize: ".9rem" },
  ".cm-textfield, .cm-button": { borderRadius: "6px", minHeight: "1.9rem", padding: "0 .6rem" },
  ".cm-panel.cm-search label": { display: "inline-flex", gap: ".3rem", alignItems: "center" },
  ".cm-textfield": { backgroundColor: "var(--card)", border: "1px solid var(--edge)", color: "var(--ink)" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--card)", border: "1px solid var(--line)", color: "var(--ink)" },
  ".cm-diagnostic": { whiteSpace: "pre-wrap", maxWidth: "34rem", borderLeftWidth: "4px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" }, ".cm-diagnostic-warning": { borderLeftColor: "var(--warn)" }, ".cm-diagnostic-info": { borderLeftColor: "var(--edge)" },
  ".cm-lintRange": { backgroundImage: "none", textDecoration: "underline wavy 1px", textUnderlineOffset: "3px" },
  ".cm-lintRange-error": { textDecorationColor: "var(--bad)" }, ".cm-lintRange-warning": { textDecorationColor: "var(--warn)" }, ".cm-lintRange-info": { textDecorationColor: "var(--edge)" },
  ".cm-changedLine, .cm-insertedLine": { backgroundColor: "color-mix(in srgb, var(--good) 11%, transparent)" },
  "&.cm-merge-a .cm-changedLine, .cm-deletedChunk, .cm-deletedLine": { backgroundColor: "color-mix(in srgb, var(--bad) 10%, transparent)" },
  "&.cm-merge-b .cm-changedText, .cm-insertedLine .cm-changedText, .cm-changedLine .cm-changedText": { background: "color-mix(in srgb, var(--good) 24%, transparent)" },
  "&.cm-merge-a .cm-changedText, .cm-deletedChunk .cm-deletedText": { background: "color-mix(in srgb, var(--bad) 22%, transparent)" },
  // On the colours of changes those of the syntax are too pale.
  ".cm-changedLine *, .cm-insertedLine *, .cm-deletedLine *, .cm-deletedText *, .cm-changedText *": { color: "var(--ink)" },
  ".cm-deletedChunk .cm-chunkButtons button": { background: "var(--card)", color: "var(--ink)", border: "1px solid var(--edge)", minHeight: "1.5rem" },
  ".cm-collapsedLines": { color: "var(--dim)", background: "var(--hover)" }, ".cm-collapsedLines::before, .cm-collapsedLines::after": { content: '"⋯"' },
});

/** @param {CodeMirror} cm */
const colours = ({ HighlightStyle, syntaxHighlighting, tags: t }) => syntaxHighlighting(HighlightStyle.define([
  { tag: [t.keyword, t.operatorKeyword, t.modifier, t.self], color: "var(--model)" },
  { tag: [t.string, t.special(t.string)], color: "var(--good)" },
  { tag: [t.number, t.bool, t.null, t.atom], color: "var(--warn)" },
  { tag: [t.comment, t.docString], color: "var(--dim)" },
  { tag: [t.function(t.definition(t.variableName)), t.definition(t.className), t.className, t.meta], color: "var(--accent)" },
  { tag: t.invalid, color: "var(--bad)" },
]));

/** A character that deceives, as its code. @param {number} point */
function mark(point) {
  const text = codeOf(String.fromCodePoint(point));
  return Object.assign(document.createElement("span"), { className: "mark", textContent: text, title: common.character(text) });
}

/**
 * What every editor and every view of code has.
 * @param {CodeMirror} cm @param {{label: string, readOnly?: boolean}} options
 */
export function basics(cm, { label, readOnly = false }) {
  return [
    theme(cm), colours(cm), cm.lineNumbers(), new cm.LanguageSupport(cm.pythonLanguage),
    cm.highlightSpecialChars({ specialChars: DECEIVING_IN_CODE, render: mark }),
    cm.EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0", spellcheck: "false", autocorrect: "off", autocapitalize: "off" }),
    cm.EditorState.readOnly.of(readOnly), cm.EditorState.tabSize.of(4), cm.indentUnit.of("    "),
  ];
}

/**
 * What is there where code is written. Escape lets the next Tab leave the editor.
 * @param {CodeMirror} cm @param {() => void} save
 */
export const writing = (cm, save) => [
  cm.history(), cm.drawSelection(), cm.indentOnInput(), cm.bracketMatching(), cm.highlightActiveLine(), cm.highlightActiveLineGutter(),
  cm.highlightSelectionMatches(), cm.search({ top: true }), cm.lintGutter(),
  cm.keymap.of([
    { key: "Mod-s", preventDefault: true, run: () => (save(), true) },
    ...cm.lintKeymap, ...cm.searchKeymap, ...cm.historyKeymap, ...cm.defaultKeymap, cm.indentWithTab,
  ]),
];
