// The PEP 723 header in a file's lines: where it is, and what is typed at a place in it.
"use strict";

const OPENING = "# /// script";
const CLOSING = "# ///";

/** @typedef {{first: number, last: number}} HeaderRange  Lines from 0: the opening line and the closing one. */
/**
 * @typedef {object} Place
 * @property {"table" | "key" | "value"} kind
 * @property {string} table  The table that holds the place, as `tool.codewords`; empty for the top.
 * @property {string} key  The key whose value is typed, or that holds an inline table; empty elsewhere.
 * @property {string} word  What is typed of it, before the cursor.
 * @property {boolean} listed  Whether the place is inside a list.
 */

/** The lines of the header, or null without a whole one. @param {readonly string[]} lines @returns {HeaderRange | null} */
function findHeader(lines) {
  const first = lines.indexOf(OPENING);
  if (first < 0) return null;
  for (let line = first + 1; line < lines.length; line += 1) {
    if (lines[line] === CLOSING) return { first, last: line };
    if (!/^#( |$)/.test(lines[line])) return null;
  }
  return null;
}

/** The name of a table's line, or null. @param {string} line */
const tableOf = (line) => /^# *\[([A-Za-z0-9_.-]+)\]\s*(#.*)?$/.exec(line)?.[1] ?? null;

/** The table that a line stands in. @param {readonly string[]} lines @param {HeaderRange} range @param {number} line */
function tableAt(lines, range, line) {
  for (let above = line; above > range.first; above -= 1) {
    const table = tableOf(lines[above]);
    if (table !== null) return table;
  }
  return "";
}

/** A text without what stands in strings. @param {string} text */
const withoutStrings = (text) => text.replace(/"(?:[^"\\]|\\.)*("|$)|'[^']*('|$)/g, (found) => "_".repeat(found.length));

/** How many of these brackets are open at the end of a text. @param {string} text @param {string} open @param {string} close */
function depth(text, open, close) {
  let count = 0;
  for (const sign of withoutStrings(text)) count += Number(sign === open) - Number(sign === close);
  return count;
}

/**
 * What is typed at a place, or null where it is not in the header.
 * @param {readonly string[]} lines @param {number} line @param {number} character
 * @returns {Place | null}
 */
function placeAt(lines, line, character) {
  const range = findHeader(lines);
  if (!range || line <= range.first || line >= range.last) return null;
  const before = lines[line].slice(0, character).replace(/^# ?/, "");
  const table = tableAt(lines, range, line - 1);
  const opened = /^\s*\[([\w.-]*)$/.exec(before);
  if (opened) return { kind: "table", table: "", key: "", word: opened[1], listed: false };

  const statement = statementBefore(lines, range, line, before);
  const assigned = /^\s*([\w-]+)\s*=\s*([^]*)$/.exec(statement);
  if (!assigned) {
    const word = /^\s*([\w-]*)$/.exec(before);
    return word && { kind: "key", table, key: "", word: word[1], listed: false };
  }
  const [, key, value] = assigned;
  if (depth(value, "{", "}") > 0) {
    const inner = /([\w-]*)$/.exec(value)?.[1] ?? "";
    const start = withoutStrings(value).slice(0, value.length - inner.length).trimEnd();
    return start.endsWith("{") || start.endsWith(",") ? { kind: "key", table, key, word: inner, listed: false } : null;
  }
  return { kind: "value", table, key, word: value, listed: depth(value, "[", "]") > 0 };
}

/** The text from the start of the statement to the cursor: a list may go on over lines. @param {readonly string[]} lines @param {HeaderRange} range @param {number} line @param {string} before */
function statementBefore(lines, range, line, before) {
  let text = before;
  for (let above = line - 1; above > range.first; above -= 1) {
    const content = lines[above].replace(/^# ?/, "");
    if (tableOf(lines[above]) !== null) break;
    if (!/^\s*[\w-]+\s*=/.test(content)) {
      text = `${content}\n${text}`;
      continue;
    }
    const whole = `${content}\n${text}`;
    // A statement that was closed before this line has nothing to do with it.
    return depth(content + whole.slice(content.length, whole.length - before.length), "[", "]") > 0 ? whole : before;
  }
  return before;
}

/** The key at a place, with its table. @param {readonly string[]} lines @param {number} line @param {number} character */
function keyAt(lines, line, character) {
  const range = findHeader(lines);
  if (!range || line <= range.first || line >= range.last) return null;
  const content = lines[line];
  const found = [...withoutStrings(content).matchAll(/([A-Za-z_][\w-]*)(?=\s*=)/g)]
    .find((match) => match.index <= character && character <= match.index + match[1].length);
  if (!found) return null;
  const first = /^# *([\w-]+)\s*=/.exec(content);
  const outer = first && found.index > content.indexOf(first[1]) ? first[1] : "";
  return { table: tableAt(lines, range, line), key: outer, name: found[1], start: found.index, end: found.index + found[1].length };
}

module.exports = { OPENING, CLOSING, findHeader, placeAt, keyAt };
