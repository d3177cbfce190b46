// What a person sees of it: which runtime it is paired with, what runs now, which sites are allowed.

import { readPairing } from "./link.js";
import { allow, allowed, answered, remove } from "./sites.js";

const at = (id) => document.getElementById(id);
const request = (ask, more = {}) => chrome.runtime.sendMessage({ ask, ...more });

const SAID = {
  unpaired: () => "Not paired with a runtime",
  connecting: ({ host }) => `Connecting to ${host ?? "the runtime"} …`,
  connected: ({ home, host }) => `Connected to ${home || host}`,
  away: ({ host }) => `No runtime answers at ${host}. It is tried again.`,
  replaced: () => "Another Chrome is used in its place",
  revoked: () => "The runtime has forgotten this Chrome",
  version: () => "The runtime is of another version: load this extension again",
};

function item(text, ...buttons) {
  const row = document.createElement("li");
  const said = document.createElement("span");
  said.textContent = text;
  row.append(said, ...buttons);
  return row;
}

function button(text, kind, press) {
  const made = document.createElement("button");
  Object.assign(made, { textContent: text, className: kind, onclick: press });
  return made;
}

function list(id, rows) {
  at(id).hidden = rows.length === 0;
  at(id).querySelector("ul").replaceChildren(...rows);
}

async function show({ link, running, asked }) {
  const { state } = link;
  at("state").textContent = SAID[state](link);
  at("state").className = `dim ${state}`;
  list("running", running.map(({ title, doing }) => item(doing ? `${title}: ${doing}` : title)));
  list("asked", asked.map(({ site, by }) => item(`${by}: ${site}`,
    button("Allow", "small", () => allow(site).then(refresh)),
    button("No", "small quiet", () => answered(site).then(refresh)))));
  const sites = await allowed();
  list("sites", sites.map((site) => item(site, button("Remove", "small quiet", () => remove(site).then(refresh)))));
  const free = ["unpaired", "revoked", "replaced"].includes(state);
  at("more").hidden = free;
  await showPairing(free, link);
}

async function showPairing(free, link) {
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  const { url } = readPairing(tab?.url);
  const host = url && new URL(url).host;
  const paired = !free && host === link.host && link.state === "connected";
  at("pairing").hidden = paired || (!free && !url);
  at("here").hidden = at("pair").hidden = !url;
  at("typed").hidden = Boolean(url);
  at("here").querySelector("code").textContent = host ?? "";
  at("pair").onclick = () => pair(tab.url);
}

async function pair(address) {
  const problem = await request("pair", { address });
  at("problem").textContent = problem;
  at("problem").hidden = !problem;
  await refresh();
}

async function refresh() {
  await show(await request("state"));
}

at("typed").onsubmit = (event) => {
  event.preventDefault();
  pair(at("address").value);
};
at("stop").onclick = () => request("stop").then(refresh);
at("forget").onclick = () => request("forget").then(refresh);
chrome.runtime.onMessage.addListener(({ state }) => void (state && show(state)));
refresh();
