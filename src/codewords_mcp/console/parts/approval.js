// A question that a run asks a person: what it says, fields to fill in, and a button for each answer.
import { post } from "../api.js";
import { dayTime, exact, visible } from "../format.js";
import { inbox as words } from "../strings_pages.js";
import { html } from "../ui.js";
import { useAction } from "./action.js";
import { Field } from "./fields.js";
import { Faults, useInputs } from "./inputs.js";
import { RunLink } from "./link.js";
import { Problem } from "./resource.js";
import { now, Text } from "./text.js";

/** @param {{question: any, path: string, onDone: (done: import("./question.js").Done) => void}} properties */
export function Approval({ question, path, onDone }) {
  const inputs = useInputs({ method: "POST", path: "/", input: question.fields ?? {} }, false, {});
  const { body, values, setValues, formOf, complete } = inputs;
  const action = useAction();
  const answer = (/** @type {string} */ option) => {
    if (!complete()) return;
    action.run(async () => {
      const { message } = await post(path, { answer: option, fields: values.body ?? {} });
      onDone({ message, runId: question.run_id });
    });
  };
  const change = (/** @type {string} */ name, /** @type {unknown} */ value) => {
    const others = Object.entries(values.body ?? {}).filter(([one]) => one !== name);
    setValues({ ...values, body: Object.fromEntries([...others, ...(value === undefined ? [] : [[name, value]])]) });
  };
  const names = Object.entries(question.fields?.properties ?? {});
  return html`<div class="run-form approval">
    <p class="dim">${words.by} <${Text} of=${question.asker} />, <${RunLink} id=${question.run_id} /></p>
    ${question.details && html`<p class="details"><${Text} of=${question.details} /></p>`}
    ${names.length > 0 && html`<div class="fields">${names.map(([name, schema]) => html`<${Field} key=${name} name=${name} schema=${schema} required=${question.fields.required.includes(name)}
      value=${values.body?.[name]} path=${`input/${name}`} form=${formOf(body)} onChange=${(/** @type {unknown} */ value) => change(name, value)} />`)}</div>`}
    <${Faults} of=${inputs} />
    <${Problem} error=${action.error} />
    <div class="actions below">${question.options.map((/** @type {string} */ option, /** @type {number} */ at) => html`<button type="button" class=${at ? "" : "primary"} disabled=${action.working} onClick=${() => answer(option)}>${capital(visible(option))}</button>`)}</div>
    <p class="dim" title=${exact(question.expires_at)}>${words.deadline(dayTime(question.expires_at, now.peek()), question.default === null ? null : visible(question.default))}</p></div>`;
}

/** @param {string} text */
const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
