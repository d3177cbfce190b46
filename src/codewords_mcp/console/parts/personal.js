// What belongs to the person: agreements and their Chrome.
import { get, post, send } from "../api.js";
import { visible } from "../format.js";
import { settings as words } from "../strings_pages.js";
import { html } from "../ui.js";
import { openPage, useAction } from "./action.js";
import { Problem, useResource } from "./resource.js";
import { Text, When } from "./text.js";

export function Agreements() {
  const { data, reload } = useResource(async (signal) => (await get("/agreements", {}, { signal })).items, []);
  const action = useAction();
  const withdraw = (/** @type {any} */ one) => action.run(async () => {
    await send("DELETE", `/agreements/${one.service_id}`);
    reload();
  });
  return html`<section class="card"><header><h2>${words.agreements}</h2></header>
    <${Problem} error=${action.error} />
    ${data?.length ? html`<ul class="rows">${data.map((/** @type {any} */ one) => html`<li>
      <span class="what"><${Text} of=${one.name} /><span class="dim">${words.agreedAt} <${When} at=${one.agreed_at} /></span></span>
      <button aria-label=${words.withdraw(visible(one.name))} disabled=${action.working} onClick=${() => withdraw(one)}>${words.withdrawShort}</button></li>`)}</ul>`
      : html`<p class="dim">${words.noAgreements}</p>`}</section>`;
}

export function OwnChrome() {
  const { data, reload } = useResource((signal) => get("/browser", {}, { signal }), []);
  const action = useAction();
  const pair = () => action.run(async () => openPage((await post("/browser/pair")).url));
  const forget = () => action.run(async () => {
    await send("DELETE", "/browser");
    reload();
  });
  return data && html`<section class="card"><header><h2>${words.chrome}</h2></header>
    <p><${Text} of=${data.sentence} /></p><${Problem} error=${action.error} />
    <div class="actions">${data.paired ? html`<button class="danger" onClick=${forget}>${words.forget}</button>` : html`<button onClick=${pair}>${words.pair}</button>`}</div></section>`;
}
