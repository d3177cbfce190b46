// What model calls cost today, against the budgets that bound them.
import { get } from "../api.js";
import { money } from "../format.js";
import { PAGE_NAMES } from "../strings.js";
import { home as words } from "../strings_lists.js";
import { html } from "../ui.js";
import { changesOf, useResource } from "./resource.js";
import { nameOf } from "./names.js";
import { Text } from "./text.js";

/** @param {AbortSignal} signal */
async function load(signal) {
  const [costs, budgets] = await Promise.allSettled([
    get("/costs", { by: "day", days: 1 }, { signal }), get("/budgets", {}, { signal }),
  ]);
  return {
    today: costs.status === "fulfilled" ? costs.value.items[0] : null,
    // Budgets are an admin's: another key sees its costs without them.
    budgets: budgets.status === "fulfilled" ? budgets.value.items : [],
  };
}

export function Spending() {
  const { data } = useResource(load, [], changesOf("run"));
  if (!data) return null;
  const { today, budgets } = data;
  return html`<section class="card">
    <header><h2>${words.spending}</h2><a href="/console/usage">${PAGE_NAMES.usage}</a></header>
    <p class=${today ? "" : "dim"}>${today ? words.spent(money(today.cost), today.calls) : words.noCalls}</p>
    ${today?.unpriced > 0 && html`<p class="dim">${words.unpriced(today.unpriced)}</p>`}
    ${budgets.filter(isBar).map((/** @type {any} */ budget) => html`<${BudgetBar} budget=${budget} />`)}
    ${!budgets.length && html`<p class="dim">${words.noBudget}</p>`}
  </section>`;
}

/** Budgets of a call or of a run bound each alone: nothing of them is spent. @param {any} budget */
const isBar = (budget) => budget.spent !== null && budget.spent !== undefined;

/** A budget as a bar, full at its limit. @param {{budget: any}} properties */
export function BudgetBar({ budget }) {
  const share = budget.usd > 0 ? Math.min(1, (budget.spent + (budget.reserved ?? 0)) / budget.usd) : 1;
  const subject = budget.scope === "workflow" && budget.subject ? nameOf(budget.subject) : budget.subject || budget.scope;
  return html`<div class="budget">
    <span class="what"><${Text} of=${subject} /> <span class="dim">${budget.period}</span></span>
    <span class="mono">${words.budget(money(budget.spent), money(budget.usd))}</span>
    <span class="meter" aria-hidden="true"><span class=${share >= 0.9 ? "full" : ""} style=${{ width: `${100 * share}%` }}></span></span>
  </div>`;
}
