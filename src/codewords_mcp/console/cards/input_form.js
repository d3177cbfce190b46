// The card that runs a workflow: the form of its schema, then the run.
import { visible } from "../format.js";
import { form as words } from "./strings.js";
import { html } from "../ui.js";
import { RunForm } from "../parts/form.js";
import { Problem, useResource } from "../parts/resource.js";
import { get } from "./api.js";
import { show } from "./card.js";
import { learn } from "./names.js";
import { shownRun } from "./router.js";
import { RunCard } from "./run_view.js";

/** @param {{data: any}} properties */
function InputForm({ data }) {
  const id = data.workflow_id;
  const { data: workflow, error, reload } = useResource(async () => {
    const found = await get(`/workflows/${encodeURIComponent(id)}`);
    learn(id, found.name);
    return found;
  }, [id]);
  if (shownRun.value) return html`<p><button class="link" onClick=${() => (shownRun.value = "")}>${words.back}</button></p><${RunCard} id=${shownRun.value} first=${{}} />`;
  if (!workflow) return error ? html`<${Problem} error=${error} retry=${reload} />` : html`<p class="dim">${words.loading} …</p>`;
  return html`<header class="head"><h1 class="headline">${visible(workflow.name)}</h1></header><${RunForm} workflow=${workflow} />`;
}

show("input-form", InputForm);
