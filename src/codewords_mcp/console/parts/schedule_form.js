// The form of a new schedule.
import { post } from "../api.js";
import { isJson, visible } from "../format.js";
import { schedules as words } from "../strings_pages.js";
import { again } from "../strings_dialogs.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Dialog } from "./dialog.js";
import { nameOf, workflows } from "./names.js";
import { Problem } from "./resource.js";
import { withAgreement } from "./start.js";

/** @param {{onClose: () => void, onSaved: () => void, workflow?: string}} properties */
export function ScheduleForm({ onClose, onSaved, workflow }) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const first = workflows.value?.keys().next().value ?? "";
  const [form, setForm] = useState({ service_id: workflow ?? first, cron: "@daily", timezone: zone, input: "", name: "", dry_run: false });
  const action = useAction();
  const set = (/** @type {string} */ name) => (/** @type {any} */ event) => setForm({ ...form, [name]: event.target.value });
  const invalid = form.input.trim() !== "" && !isJson(form.input);
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const body = { ...form, input: form.input.trim() ? JSON.parse(form.input) : null };
    if (!(await action.run(() => withAgreement(body.service_id, () => post("/schedules", body))))) return;
    onSaved();
    onClose();
  };
  return html`<${Dialog} title=${words.add} onClose=${onClose}>
    <form class="fields" onSubmit=${save}>
      <label>${words.form.workflow}<select value=${form.service_id} onChange=${set("service_id")}>${[...(workflows.value?.values() ?? [])].map((one) => html`<option value=${one.service_id} selected=${one.service_id === form.service_id}>${visible(one.name)}</option>`)}</select></label>
      <label>${words.form.cron}<input class="mono" required value=${form.cron} onInput=${set("cron")} aria-describedby="cron-hint" /><span class="dim" id="cron-hint">${words.form.cronHint}</span></label>
      <label>${words.form.zone}<input required value=${form.timezone} onInput=${set("timezone")} /></label>
      <label>${words.form.input}<textarea rows="4" spellcheck=${false} value=${form.input} aria-invalid=${invalid} onInput=${set("input")}></textarea></label>
      ${invalid && html`<p class="bad" role="status">${again.invalid}</p>`}
      <label>${words.form.name}<input value=${form.name} onInput=${set("name")} /></label>
      <label class="check"><input type="checkbox" checked=${form.dry_run} onChange=${() => setForm({ ...form, dry_run: !form.dry_run })} />${words.form.dry}</label>
      <${Problem} error=${action.error} />
      <div class="actions"><button class="primary" disabled=${action.working || invalid || !form.service_id}>${words.form.save(visible(nameOf(form.service_id)))}</button></div>
    </form><//>`;
}
