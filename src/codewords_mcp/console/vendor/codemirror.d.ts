interface Line { from: number; to: number; number: number; }
interface Text { toString(): string; lines: number; length: number; line(number: number): Line; }
export interface State { doc: Text; toJSON(fields?: Record<string, unknown>): unknown; }
export interface Update { docChanged: boolean; view: EditorView; transactions: { annotation(type: unknown): unknown }[]; }
type Extension = unknown;
export class EditorView {
  constructor(config: { state?: State; parent: Element });
  state: State;
  contentDOM: HTMLElement;
  hasFocus: boolean;
  dispatch(...changes: unknown[]): void;
  focus(): void;
  destroy(): void;
  static theme(spec: Record<string, Record<string, unknown>>, options?: { dark?: boolean }): Extension;
  static updateListener: { of(listener: (update: Update) => void): Extension };
  static contentAttributes: { of(attributes: Record<string, string>): Extension };
  static scrollIntoView(at: number, options: Record<string, unknown>): unknown;
  static lineWrapping: Extension;
}
export const EditorState: {
  create(config: Record<string, unknown>): State;
  fromJSON(json: unknown, config: Record<string, unknown>, fields: Record<string, unknown>): State;
  phrases: { of(words: Record<string, string>): Extension };
  readOnly: { of(value: boolean): Extension };
  tabSize: { of(value: number): Extension };
};
export class MergeView {
  constructor(config: Record<string, unknown>);
  a: EditorView;
  b: EditorView;
  destroy(): void;
}
export class LanguageSupport { constructor(language: unknown); }
export const HighlightStyle: { define(specs: Record<string, unknown>[]): unknown };
export const Annotation: { define(): { of(value: unknown): unknown } };
export const tags: Record<string, any>;
export const pythonLanguage: unknown;
export const historyField: unknown;
export const indentUnit: { of(unit: string): Extension };
export const keymap: { of(bindings: unknown[]): Extension };
export const defaultKeymap: unknown[];
export const historyKeymap: unknown[];
export const lintKeymap: unknown[];
export const searchKeymap: unknown[];
export const indentWithTab: unknown;
export function bracketMatching(): Extension;
export function drawSelection(): Extension;
export function highlightActiveLine(): Extension;
export function highlightActiveLineGutter(): Extension;
export function highlightSelectionMatches(): Extension;
export function highlightSpecialChars(config: Record<string, unknown>): Extension;
export function history(): Extension;
export function indentOnInput(): Extension;
export function lineNumbers(): Extension;
export function lintGutter(): Extension;
export function search(config: Record<string, unknown>): Extension;
export function setDiagnostics(state: State, diagnostics: Record<string, unknown>[]): unknown;
export function syntaxHighlighting(style: unknown): Extension;
export function unifiedMergeView(config: Record<string, unknown>): Extension;
