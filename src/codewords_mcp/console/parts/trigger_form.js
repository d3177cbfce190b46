// The form of a new trigger: the workflow, the kind of what starts it, and the options of that kind.
import { get, post } from "../api.js";
import { visible } from "../format.js";
import { schedules as words } from "../strings_pages.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { check } from "./check.js";
import { Dialog } from "./dialog.js";
import { Field, focusFault } from "./fields.js";
import { nameOf, workflows } from "./names.js";
import { Problem, useResource } from "./resource.js";
import { initial, list } from "./schema.js";
import { withAgreement } from "./start.js";
import { Text } from "./text.js";

/** Options that are shown at first, and those that are needed. */
const SHOWN = 4;

/** A kind with the options that its form begins with. @param {any} kind */
function beginning({ kind, options: schema }) {
  const options = Object.fromEntries(Object.entries(initial(schema, schema)).filter(([, value]) => value !== null));
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return { kind, options: kind === "schedule" ? { ...options, cron: "@daily", timezone: timeZone } : options };
}

/** @param {{onClose: () => void, onSaved: () => void, workflow?: string}} properties */
export function TriggerForm({ onClose, onSaved, workflow }) {
  const { data, error } = useResource(async (signal) => (await get("/triggers/kinds", {}, { signal })).items, []);
  if (!data) return html`<${Problem} error=${error} />`;
  return html`<${Dialog} title=${words.add} onClose=${onClose}><${Fields} kinds=${data} workflow=${workflow} onClose=${onClose} onSaved=${onSaved} /><//>`;
}

/** @param {{kinds: any[], workflow?: string, onClose: () => void, onSaved: () => void}} properties */
function Fields({ kinds, workflow, onClose, onSaved }) {
  const [form, setForm] = useState(() => ({ service_id: workflow ?? workflows.value?.keys().next().value ?? "", name: "", ...beginning(kinds[0]) }));
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [sent, setSent] = useState(false);
  const action = useAction();
  const { options: schema, has_items: isSource } = kinds.find((one) => one.kind === form.kind);
  const problems = check(form.options, schema, schema, true, "options");

  const set = (/** @type {Record<string, any>} */ changed) => {
    setFound(null);
    setForm({ ...form, ...changed });
  };
  const choose = (/** @type {any} */ event) => {
    setSent(false);
    set(beginning(kinds[event.target.selectedIndex]));
  };
  const act = (/** @type {() => Promise<unknown>} */ work) => {
    setSent(true);
    if (Object.keys(problems).length === 0) action.run(work);
    else focusFault("dialog");
  };
  const look = () => act(async () => setFound(await post("/triggers/sample", { kind: form.kind, options: form.options })));
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    act(async () => {
      const { misfit } = await withAgreement(form.service_id, () => post("/triggers", form));
      onSaved();
      if (misfit) setFound({ misfit });
      else onClose();
    });
  };
  const field = (/** @type {string} */ name) => html`<${Field} key=${form.kind + name} name=${name} schema=${schema.properties[name]} required=${list(schema.required).includes(name)} value=${form.options[name]} path=${`options/${name}`}
    form=${{ root: schema, problems: sent ? problems : {}, touch: () => {} }} onChange=${(/** @type {any} */ value) => set({ options: { ...form.options, [name]: value } })} />`;
  const isShown = (/** @type {string} */ name, /** @type {number} */ at) => at < SHOWN || list(schema.required).includes(name);
  const names = Object.keys(schema.properties);
  const others = names.filter((name, at) => !isShown(name, at));
  return html`<form class="fields" onSubmit=${save}>
    <label>${words.form.workflow}<select value=${form.service_id} onChange=${(/** @type {any} */ event) => set({ service_id: event.target.value })}>${[...(workflows.value?.values() ?? [])].map((one) => html`<option value=${one.service_id} selected=${one.service_id === form.service_id}>${visible(one.name)}</option>`)}</select></label>
    <label>${words.form.kind}<select name="kind" value=${form.kind} onChange=${choose}>${kinds.map((one) => html`<option value=${one.kind} selected=${one.kind === form.kind}>${one.title}</option>`)}</select></label>
    ${names.filter(isShown).map(field)}
    ${others.length > 0 && html`<details><summary>${words.form.more}</summary><div class="fields">${others.map(field)}</div></details>`}
    <label>${words.form.name}<input value=${form.name} onInput=${(/** @type {any} */ event) => set({ name: event.target.value })} /></label>
    <${Problem} error=${action.error} />
    ${found && html`<div role="status">${found.found ? html`<pre class="asked"><${Text} of=${JSON.stringify(found.data, null, 2)} /></pre>` : html`<p><${Text} of=${found.misfit ? words.form.misfit(found.misfit) : words.form.nothing} /></p>`}</div>`}
    <div class="actions"><button class="primary" disabled=${action.working || found?.misfit}>${words.form.save(visible(nameOf(form.service_id)))}</button>
      ${isSource && html`<button type="button" disabled=${action.working} onClick=${look}>${words.form.look}</button>`}</div>
  </form>`;
}
