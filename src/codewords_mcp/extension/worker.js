// The extension's service worker: joins the connection, the windows and the popup.

import { Link } from "./link.js";
import { asked, granted } from "./sites.js";
import { Ended, No, Windows, closeLeft } from "./windows.js";

const MOST_CHARACTERS = 10_000_000;
const MOST_BYTES = 15_000_000; // the runtime takes messages of 16 MiB
const steps = new Map(); // what is on its way, by its number, to be ended by {cancel: number}

const windows = new Windows({
  tell: (message) => link.send(message),
  changed: () => show(),
  address: () => new URL(link.url),
});

const link = new Link({
  ask: answer,
  lost: () => windows.endAll(),
  changed: () => show(),
});

const TASKS = {
  open: (message, signal) => windows.open(message, signal),
  tab: (message) => windows.openTab(message),
  close_tab: (message) => windows.closeTab(message),
  close: ({ session }) => windows.end(session),
  perform: (message, signal) => windows.perform(message, signal),
};

// {id, ok}, {id, no, more} for a step that did not work out, {id, gone} for a session that has ended.
async function answer(message) {
  const { id, cancel, do: task } = message;
  if (cancel !== undefined) return void steps.get(cancel)?.abort(new No("cancelled"));
  const ending = new AbortController();
  steps.set(id, ending);
  try {
    return bounded({ id, ok: await TASKS[task](message, ending.signal) });
  } catch (error) {
    if (error instanceof No) return { id, no: error.reason, more: error.more };
    if (error instanceof Ended || /^No (tab|window) with id/.test(error.message)) return { id, gone: error instanceof Ended ? error.message : "closed" };
    console.error(error);
    return { id, no: "failed" };
  } finally {
    steps.delete(id);
  }
}

function bounded(answer) {
  const text = JSON.stringify(answer);
  const large = text.length > MOST_CHARACTERS || new Blob([text]).size > MOST_BYTES;
  return large ? { id: answer.id, no: "too_large" } : answer;
}

async function state() {
  return { link: { state: link.state, home: link.home, host: link.url && new URL(link.url).host }, running: windows.running, asked: await asked() };
}

const BADGES = { running: ["▶", "#2456d6"], asked: ["?", "#b06000"], broken: ["!", "#b3261e"] };

async function show() {
  const now = await state();
  const broken = ["away", "replaced", "revoked", "version"].includes(now.link.state);
  const [text, color] = BADGES[now.asked.length ? "asked" : now.running.length ? "running" : broken ? "broken" : ""] ?? ["", "#000"];
  await chrome.action.setBadgeText({ text });
  await chrome.action.setBadgeBackgroundColor({ color });
  chrome.runtime.sendMessage({ state: now }).catch(() => {}); // no popup is open
}

const REQUESTS = {
  state: () => link.start().then(state), // whoever looks need not wait for the next try
  pair: ({ address }) => link.pair(address),
  forget: () => link.forget(),
  stop: () => windows.endAll("stopped"),
};

chrome.runtime.onMessage.addListener((message, _sender, reply) => {
  const request = REQUESTS[message.ask];
  if (!request) return false;
  Promise.resolve(request(message)).then(reply);
  return true;
});
chrome.permissions.onAdded.addListener(() => granted());
chrome.storage.onChanged.addListener((changes) => changes.asked && show());

// Wakes the worker where Chrome ended it, to connect again.
chrome.alarms.create("connect", { periodInMinutes: 0.5 });
chrome.alarms.onAlarm.addListener(() => link.start());
chrome.runtime.onStartup.addListener(() => link.start());
chrome.runtime.onInstalled.addListener(() => link.start());
closeLeft().finally(() => link.start());
