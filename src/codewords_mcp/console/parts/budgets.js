// Budgets as bars, and the form that sets one.
import { call, send } from "../api.js";
import { money, visible } from "../format.js";
import { usage as words } from "../strings_pages.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Dialog } from "./dialog.js";
import { nameOf, workflows } from "./names.js";
import { Problem } from "./resource.js";
import { BudgetBar } from "./spending.js";

/** @param {any} budget */
const nameOfBudget = (budget) => (budget.scope === "workflow" && budget.subject ? nameOf(budget.subject) : budget.subject || words.scopes.find(([scope]) => scope === budget.scope)?.[1] || budget.scope);

/** @param {{budgets: any[] | null, onChange: () => void}} properties */
export function Budgets({ budgets, onChange }) {
  const [adding, setAdding] = useState(false);
  const action = useAction();
  const remove = (/** @type {any} */ budget) => action.run(async () => {
    await send("DELETE", `/budgets/${budget.scope}`, { query: { subject: budget.subject, period: budget.period } });
    onChange();
  });
  return html`<section class="card">
    <header><h2>${words.budgets}</h2>${budgets && html`<button onClick=${() => setAdding(true)}>${words.add}</button>`}</header>
    <${Problem} error=${action.error} />
    ${budgets === null && html`<p class="dim">${words.notAdmin}</p>`}
    ${budgets?.length === 0 && html`<p class="dim">${words.noBudgets}</p>`}
    <ul class="rows">${budgets?.map((budget) => html`<li>
      <span class="grow">${typeof budget.spent === "number" ? html`<${BudgetBar} budget=${budget} />` : html`<span>${visible(nameOfBudget(budget))} <span class="mono">${money(budget.usd)}</span> <span class="dim">${words.perOne}</span></span>`}</span>
      <button class="plain danger" disabled=${action.working} aria-label=${words.remove(visible(nameOfBudget(budget)))} title=${words.remove(visible(nameOfBudget(budget)))} onClick=${() => remove(budget)}>×</button></li>`)}</ul>
    ${adding && html`<${BudgetForm} onClose=${() => setAdding(false)} onSaved=${onChange} />`}
  </section>`;
}

/** @param {{onClose: () => void, onSaved: () => void}} properties */
function BudgetForm({ onClose, onSaved }) {
  const [form, setForm] = useState({ scope: "home", subject: "", period: "day", usd: "5" });
  const action = useAction();
  const set = (/** @type {string} */ name) => (/** @type {any} */ event) => setForm({ ...form, [name]: event.target.value });
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const saved = await action.run(() => call("PUT", `/budgets/${form.scope}`, { body: { usd: Number(form.usd), subject: form.subject, period: form.period } }));
    if (!saved) return;
    onSaved();
    onClose();
  };
  const scope = words.scopes.find(([value]) => value === form.scope)?.[1] ?? form.scope;
  return html`<${Dialog} title=${words.add} onClose=${onClose}>
    <form class="fields" onSubmit=${save}>
      <label>${words.scope}<select value=${form.scope} onChange=${set("scope")}>${words.scopes.map(([value, name]) => html`<option value=${value} selected=${value === form.scope}>${name}</option>`)}</select></label>
      ${form.scope === "workflow" && html`<label>${words.subject}<select value=${form.subject} onChange=${set("subject")}><option value=""></option>${[...(workflows.value?.values() ?? [])].map((workflow) => html`<option value=${workflow.service_id}>${visible(workflow.name)}</option>`)}</select></label>`}
      ${form.scope === "key" && html`<label>${words.subject}<input value=${form.subject} onInput=${set("subject")} /></label>`}
      <label>${words.period}<select value=${form.period} onChange=${set("period")}>${words.periods.map(([value, name]) => html`<option value=${value} selected=${value === form.period}>${name}</option>`)}</select></label>
      <label>${words.usd}<input type="number" min="0" step="any" required value=${form.usd} onInput=${set("usd")} /></label>
      <${Problem} error=${action.error} />
      <div class="actions"><button class="primary" disabled=${action.working}>${words.save(money(Number(form.usd)), scope)}</button></div>
    </form><//>`;
}
