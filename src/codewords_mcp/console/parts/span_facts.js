// What is known of the selected span.
import { bytes, duration, money } from "../format.js";
import { timeline as words } from "../strings.js";
import { html } from "../ui.js";
import { RunLink } from "./link.js";
import { nameOfSpan } from "./spans.js";
import { Text } from "./text.js";

/** @param {{span: import("./spans.js").Span}} properties */
export function SpanFacts({ span }) {
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
