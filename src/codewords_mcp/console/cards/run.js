// The card of a run.
import { html } from "../ui.js";
import { show } from "./card.js";
import { RunCard } from "./run_view.js";

show("run", (/** @type {{data: any}} */ { data }) => html`<${RunCard} id=${data.run_id} first=${data} />`);
