// Asks the person whether workflows may act on a site. The worker, which waits for the answer, closes the page.

import { PICTURES, allow, answered, asked } from "./sites.js";

const at = (id) => document.getElementById(id);
const site = new URLSearchParams(location.search).get("site") ?? "";
const question = (await asked()).find((one) => one.site === site);

at("by").textContent = question?.by ?? "a workflow";
at("site").textContent = site;
if (site === PICTURES) {
  document.querySelector("h1").replaceChildren("May ", at("by"), " take pictures of its window?");
  at("meaning").textContent =
    "Chrome gives this right only together with access to all sites, and will say so. Workflows still act only on the sites that you allow one by one.";
}
at("allow").onclick = () => allow(site);
at("refuse").onclick = () => answered(site);
