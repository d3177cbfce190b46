// What is known of the selected span.
import { bytes, count, duration, money } from "../format.js";
import { timeline as words } from "../strings.js";
import { address, setQuery } from "../router.js";
import { calls } from "../strings_dialogs.js";
import { html } from "../ui.js";
import { RunLink } from "./link.js";
import { nameOfSpan } from "./spans.js";
import { Text } from "./text.js";

/** @param {import("./spans.js").SpanRow} properties */
export function SpanFacts({ span, members }) {
  if (members) return html`<${Calls} span=${span} members=${members} />`;

  const tokens = span.input_tokens !== undefined && words.tokens(span.input_tokens, span.output_tokens ?? 0);
  /** @type {[string, unknown][]} */
  const facts = [
    [words.facts.started, duration(span.start_ms)],
    [words.facts.took, span.duration_ms === undefined ? words.open : duration(span.duration_ms)],
    [words.facts.status, span.http_status],
    [words.facts.outcome, span.outcome && words.outcomes[span.outcome]],
    [words.facts.sent, span.sent_bytes && bytes(span.sent_bytes)],
    [words.facts.received, span.received_bytes && bytes(span.received_bytes)],
    [words.facts.model, span.model && html`<${Text} of=${span.model} />`],
    [words.facts.tokens, tokens],
    [words.facts.cost, span.cost_usd !== undefined && money(span.cost_usd)],
    [words.facts.cached, span.cached && "✓"],
    [words.facts.run, span.run_id && html`<${RunLink} id=${span.run_id} />`],
    [words.facts.note, span.note && html`<${Text} of=${span.note} />`],
  ];
  return html`<dl class="span-facts" aria-label=${words.span}>
    <div><dt class="mono name"><${Text} of=${nameOfSpan(span)} /></dt><dd class="dim">${span.kind}</dd></div>
    ${facts.filter(([, value]) => value !== undefined && value !== false && value !== null && value !== "").map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

/** Many equal calls. @param {{span: import("./spans.js").Span, members: import("./spans.js").Span[]}} properties */
function Calls({ span, members }) {
  const times = members.map((member) => member.duration_ms ?? 0).sort((a, b) => a - b);
  const sum = (/** @type {"cost_usd" | "input_tokens" | "output_tokens" | "received_bytes"} */ of) => members.reduce((all, member) => all + (member[of] ?? 0), 0);
  const tokens = sum("input_tokens") + sum("output_tokens");
  /** @type {[string, unknown][]} */
  const facts = [
    [words.facts.started, duration(span.start_ms)],
    [calls.median, duration(times[times.length >> 1])],
    [calls.longest, duration(times[times.length - 1])],
    [calls.sum, duration(times.reduce((all, time) => all + time, 0))],
    [words.facts.outcome, span.outcome && words.outcomes[span.outcome]],
    [words.facts.received, sum("received_bytes") && bytes(sum("received_bytes"))],
    [words.facts.tokens, tokens > 0 && words.tokens(sum("input_tokens"), sum("output_tokens"))],
    [words.facts.cost, sum("cost_usd") > 0 && money(sum("cost_usd"))],
  ];
  const isOpen = address.value.query.get("calls") === span.id;
  return html`<dl class="span-facts" aria-label=${words.span}>
    <div><dt class="mono name">${count(members.length)} × <${Text} of=${nameOfSpan(span)} /></dt><dd class="dim">${span.kind}</dd></div>
    ${facts.filter(([, value]) => value).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
    <button onClick=${() => setQuery({ calls: isOpen ? null : span.id })}>${isOpen ? calls.close : calls.open(members.length)}</button></dl>`;
}
