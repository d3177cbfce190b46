// Where alerts go beside the inbox: the settings, and a test of them.
import { call, get, post } from "../api.js";
import { alertSettings as words } from "../strings_alerts.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { Problem, useResource } from "./resource.js";
import { Text } from "./text.js";

/** @typedef {{settings: any, problems: Record<string, string>}} State */

export function AlertSettings() {
  const { data, error, reload } = useResource((signal) => get("/alerts/settings", {}, { signal }), []);
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;
  return html`<section class="card"><header><h2>${words.title}</h2></header>
    <p class="dim">${words.lead}</p>
    ${Object.entries(data.problems).map(([channel, problem]) => html`<${Problem} error=${{ message: words.failed(channel), hint: problem }} />`)}
    <${Form} key=${JSON.stringify(data.settings)} settings=${data.settings} onSaved=${reload} /></section>`;
}

/** @param {{settings: any, onSaved: () => void}} properties */
function Form({ settings, onSaved }) {
  const [form, setForm] = useState(/** @type {Record<string, string>} */ ({ ...settings, email: settings.email.join(", "), interval_minutes: String(settings.interval_minutes) }));
  const [results, setResults] = useState(/** @type {{channel: string, problem: string}[]} */ ([]));
  const action = useAction();
  const set = (/** @type {string} */ name) => (/** @type {any} */ event) => setForm({ ...form, [name]: event.target.value });
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    action.run(async () => {
      const changes = Object.fromEntries(words.fields.map(([name]) => [name, form[name]?.trim() ?? ""]));
      const email = changes.email.split(",").map((address) => address.trim()).filter(Boolean);
      await call("PUT", "/alerts/settings", { body: { ...changes, runs: form.runs, email, interval_minutes: Number(form.interval_minutes) } });
      onSaved();
    });
  };
  const test = () => action.run(async () => setResults((await post("/alerts/test", {})).items));
  return html`<form class="fields" onSubmit=${save}>
    <label>${words.runs}<select value=${form.runs} onChange=${set("runs")}>${words.whose.map(([value, name]) => html`<option value=${value} selected=${value === form.runs}>${name}</option>`)}</select></label>
    ${words.fields.map(([name, label, hint]) => html`<label>${label}<input value=${form[name]} placeholder=${hint} onInput=${set(name)} /></label>`)}
    <label>${words.every}<input type="number" min="1" max="1440" required value=${form.interval_minutes} onInput=${set("interval_minutes")} /></label>
    <${Problem} error=${action.error} />
    ${results.map(({ channel, problem }) => html`<p role="status"><${Text} of=${words.result(channel, problem)} /></p>`)}
    <div class="actions"><button class="primary" disabled=${action.working}>${words.save}</button>
      <button type="button" disabled=${action.working} onClick=${test}>${words.test}</button></div>
  </form>`;
}
