// An action of an app as a form: its fields, the values that the app lists for them, and the account that it uses.
import { post } from "../api.js";
import { visible } from "../format.js";
import { integrations as words } from "../strings_explore.js";
import { html, useState } from "../ui.js";
import { useAction } from "./action.js";
import { OperationForm } from "./operation.js";
import { Problem, useResource } from "./resource.js";
import { Text } from "./text.js";

const TYPES = new Set(["string", "integer", "boolean", "object"]);

/** The JSON Schema of a field; `values` are those that the app lists. @param {any} prop @param {any[] | undefined} values */
function schemaOf(prop, values) {
  const kind = prop.type.replace("[]", "");
  const given = values?.length ? { enum: values.map((one) => one.value), enumNames: values.map((one) => one.label) } : prop.options.length ? { enum: prop.options } : {};
  const one = { ...(TYPES.has(kind) ? { type: kind } : {}), ...(prop.secret ? { format: "password" } : {}), ...given };
  return { ...(prop.type.endsWith("[]") ? { type: "array", items: one } : one), title: prop.label || undefined, description: prop.description || undefined, default: prop.default ?? undefined };
}

/** Fields that a caller sets; accounts and the broker's own services are set by the broker. @param {any} action @returns {any[]} */
const fieldsOf = (action) => action.props.filter((/** @type {any} */ one) => one.type !== "app" && one.type !== "alert" && !one.type.startsWith("$.service"));

/** @param {{app: string, action: string, accounts: import("./connections.js").Account[]}} properties */
export function ActionForm({ app, action, accounts }) {
  const path = `/integrations/${encodeURIComponent(app)}`;
  const { data, error, reload, set } = useResource(async () => (await post(`${path}/describe`, { action })).action, [app, action]);
  const [account, setAccount] = useState("");
  const [values, setValues] = useState(/** @type {Record<string, any[] | undefined>} */ ({}));
  const asking = useAction();
  if (!data) return html`<${Problem} error=${error} retry=${reload} />`;

  const fields = fieldsOf(data);
  const chosen = account ? { account } : {};
  const describe = async (/** @type {any} */ more) => post(`${path}/describe`, { action, ...chosen, ...more });
  const list = (/** @type {any} */ prop, /** @type {any} */ props) => asking.run(async () => {
    const { options } = await describe({ prop: prop.name, props });
    if (!options.length) throw new Error(words.noValues(prop.name));
    setValues({ ...values, [prop.name]: options });
  });
  const operation = {
    id: action, methods: ["POST"], path: `${path}/call`, summary: visible(data.name), tag: "", service: "", writes: data.writes, key: "user", parameters: [], raw: false,
    input: { type: "object", properties: Object.fromEntries(fields.map((one) => [one.name, schemaOf(one, values[one.name])])), required: fields.filter((one) => one.required).map((one) => one.name) },
  };
  const beside = (/** @type {any} */ inputs) => {
    const props = inputs.values.body ?? {};
    return html`
      <div class="actions">${fields.filter((one) => one.remote).map((one) => (values[one.name] ? html`<button key=${one.name} type="button" onClick=${() => setValues({ ...values, [one.name]: undefined })}>${words.typed(visible(one.name))}</button>`
        : html`<button key=${one.name} type="button" disabled=${asking.working} onClick=${() => list(one, without(props, one.name))}>${words.values(visible(one.name))}</button>`))}
      ${fields.some((one) => one.reloads) && html`<button type="button" disabled=${asking.working} onClick=${() => asking.run(async () => set((await describe({ props })).action))}>${words.fields}</button>`}</div>
      ${accounts.length > 1 && html`<label class="field"><span>${words.account}</span><select onChange=${(/** @type {any} */ event) => setAccount(event.target.value)}><option value="">${words.newest}</option>${accounts.map((one) => html`<option value=${one.id} selected=${one.id === account}>${visible(one.name || one.id)}</option>`)}</select></label>`}
      <${Problem} error=${asking.error} />`;
  };
  return html`<section><h2><${Text} of=${data.name} /></h2>${data.description && html`<p class="dim"><${Text} of=${data.description} /></p>`}
    <p class="needs"><span class=${data.writes ? "tag unset" : "tag"}>${data.writes ? words.writes : words.reads}</span><code class="tag"><${Text} of=${data.key} /></code></p>
    <${OperationForm} operation=${operation} beside=${beside} wrap=${(/** @type {any} */ props) => ({ action, props: props ?? {}, ...chosen })} preview=${(/** @type {any} */ body) => post(`${path}/preview`, body)} /></section>`;
}

/** What is entered already, but for one field. @param {Record<string, any>} props @param {string} name */
const without = (props, name) => Object.fromEntries(Object.entries(props).filter(([one, value]) => one !== name && value !== ""));
