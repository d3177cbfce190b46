// Equal calls of a long timeline in one row, which opens.

/** @typedef {import("./spans.js").Span} Span */
/** @typedef {import("./spans.js").SpanRow} SpanRow */

const LEAST = 10;
const NUMBERED = /\/(?:\d+|[\da-f]{8,}|[\da-f-]{32,})(?=\/|$)/gi;

/**
 * The rows of a timeline: at least ten equal calls of one parent are a row. A step ends what is grouped, unless it is one of
 * many equal ones. Calls that failed are never in one row with others.
 * @param {SpanRow[]} rows @param {string | null} opened  The id of a group that is shown with its members. @param {string | null} selected
 * @returns {SpanRow[]}
 */
export function grouped(rows, opened, selected) {
  /** @type {SpanRow[]} */
  const found = [];

  /** @param {number} from @param {number} to @param {number} deeper */
  const add = (from, to, deeper) => {
    const items = siblings(rows, from, to);
    const counts = tally(items);
    const isGrouped = (/** @type {Item} */ { key }) => /** @type {Item[]} */ (counts.get(key)).length >= LEAST;
    for (const part of parts(items, isGrouped)) {
      const equal = tally(part);
      for (const item of part) {
        const members = /** @type {Item[]} */ (equal.get(item.key));
        if (members.length < LEAST) one(item, deeper);
        else if (members[0] === item) many(members, deeper);
      }
    }
  };
  const one = (/** @type {Item} */ { at, end }, /** @type {number} */ deeper) => {
    found.push({ ...rows[at], depth: rows[at].depth + deeper });
    add(at + 1, end, deeper);
  };
  const many = (/** @type {Item[]} */ items, /** @type {number} */ deeper) => {
    const group = groupOf(items.map(({ at }) => rows[at]), deeper);
    found.push(group);
    const has = items.some(({ at, end }) => rows.slice(at, end).some(({ span }) => span.id === selected));
    if (opened === group.span.id || has) for (const item of items) one(item, deeper + 1);
  };

  add(0, rows.length, 0);
  return found;
}

/** @typedef {{at: number, end: number, key: string, isStep: boolean}} Item  A span, and where the spans below it end. */

/** @param {SpanRow[]} rows @param {number} from @param {number} to */
function siblings(rows, from, to) {
  /** @type {Item[]} */
  const items = [];
  for (let at = from; at < to;) {
    let end = at + 1;
    while (end < to && rows[end].depth > rows[at].depth) end += 1;
    const { span } = rows[at];
    items.push({ at, end, key: [span.kind, span.status, span.outcome, general(span.name)].join(" "), isStep: span.kind === "step" });
    at = end;
  }
  return items;
}

/** @param {Item[]} items */
function tally(items) {
  /** @type {Map<string, Item[]>} */
  const counts = new Map();
  for (const item of items) {
    const same = counts.get(item.key);
    if (same) same.push(item);
    else counts.set(item.key, [item]);
  }
  return counts;
}

/** Spans between steps that stand by themselves. @param {Item[]} items @param {(item: Item) => boolean} isGrouped */
function parts(items, isGrouped) {
  /** @type {Item[][]} */
  const found = [[]];
  for (const item of items) {
    if (item.isStep && !isGrouped(item)) found.push([]);
    found[found.length - 1].push(item);
  }
  return found;
}

/** A name without the numbers and ids of its path. @param {string} name */
const general = (name) => name.replace(NUMBERED, "/…");

/** @param {SpanRow[]} members @param {number} deeper @returns {SpanRow} */
function groupOf(members, deeper) {
  const spans = members.map(({ span }) => span);
  const [first] = spans;
  const isOpen = spans.some((span) => span.duration_ms === undefined);
  const end = Math.max(...spans.map((span) => span.start_ms + (span.duration_ms ?? 0)));
  return {
    // Each of the others has its own status, but no own place.
    span: { id: `${first.id}+`, kind: first.kind, name: general(first.name), status: first.status, outcome: first.outcome, start_ms: first.start_ms, duration_ms: isOpen ? undefined : end - first.start_ms },
    depth: members[0].depth + deeper,
    members: spans,
    path: spans.map((span) => `M${span.start_ms} 0h${span.duration_ms ?? 0}v1h-${span.duration_ms ?? 0}z`).join(""),
  };
}
