// Where workflows act: each session has a window of its own, which the person sees and can close. No other tab of this
// Chrome is looked at or touched.
//
// A session ends when its window is closed, when the person presses Stop, and with the connection.

import { LOOPBACK } from "./link.js";
import { PICTURES, allowed, ask, covers, decided, siteOf } from "./sites.js";

const LOOK = 80; // ms between two looks at a page
const SETTLE = 150; // ms that a page has to begin to load another
const MOST_SCREENS = 20;
const BETWEEN_PICTURES = 550; // Chrome takes two in a second

const sessions = new Map();

// A step that did not work out, and why: runtime/browser/own/words.py says it in a sentence.
export class No extends Error {
  constructor(reason, more = {}) {
    super(reason);
    Object.assign(this, { reason, more });
  }
}

// The session has ended under the step.
export class Ended extends Error {}

export class Windows {
  // `tell(message)` reaches the runtime, `changed()` is told when what runs has changed, `address()` is the runtime's.
  constructor({ tell, changed, address }) {
    Object.assign(this, { tell, changed, address });
    chrome.tabs.onRemoved.addListener((id) => this.removed(id));
    chrome.tabs.onCreated.addListener((tab) => this.created(tab));
  }

  get running() {
    return [...sessions.values()].map(({ id, title, doing }) => ({ id, title, doing }));
  }

  async open({ session: id, title, hosts }, signal) {
    const { id: window, tabs } = await chrome.windows.create({ url: "blank.html", focused: false, width: 1280, height: 900 });
    const session = { id, title, hosts, window, tabs: new Map(), spare: tabs[0].id, ending: new AbortController(), doing: "" };
    sessions.set(id, session);
    await remember();
    if (signal.aborted) return this.end(id);
    this.changed();
    return {};
  }

  async openTab({ session: id, tab: name }) {
    const session = sessions.get(id);
    if (!session) throw new Ended("closed");
    const spare = session.spare;
    session.spare = null;
    const tab = spare ?? (await chrome.tabs.create({ windowId: session.window, url: "blank.html" })).id;
    session.tabs.set(name, [tab]);
    await remember();
    return {};
  }

  async closeTab({ session: id, tab: name }) {
    const session = sessions.get(id);
    const ids = session?.tabs.get(name) ?? [];
    session?.tabs.delete(name);
    await chrome.tabs.remove(ids).catch(() => {});
    return {};
  }

  // End a session: "" by the runtime itself, "stopped" or "closed" by the person.
  async end(id, why = "") {
    const session = sessions.get(id);
    if (!session) return {};
    sessions.delete(id);
    session.ending.abort(new Ended(why || "closed"));
    if (why) this.tell({ gone: id, why });
    await close(tabsOf(session)); // not the window: its person may have put a tab of theirs there
    await remember();
    this.changed();
    return {};
  }

  async endAll(why = "") {
    await Promise.all([...sessions.keys()].map((id) => this.end(id, why)));
  }

  removed(tabId) {
    for (const session of sessions.values()) {
      if (session.spare === tabId) return this.end(session.id, "closed");
      for (const ids of session.tabs.values()) {
        const at = ids.indexOf(tabId);
        if (at < 0) continue;
        ids.splice(at, 1);
        if (ids.length === 0) this.end(session.id, "closed");
        return;
      }
    }
  }

  // A page that a page of ours opens is ours too, and the current one.
  created(tab) {
    for (const session of sessions.values()) {
      for (const ids of session.tabs.values()) {
        if (ids.includes(tab.openerTabId)) ids.push(tab.id);
      }
    }
  }

  // One step, or a snapshot, within so many seconds: `signal` ends it before.
  async perform({ session: id, tab, action, limit, seconds }, signal) {
    const session = sessions.get(id);
    if (!session) throw new Ended("closed");
    const deadline = AbortSignal.timeout(seconds * 1000);
    const work = new Work(this, session, tab, AbortSignal.any([signal, session.ending.signal, deadline]));
    session.doing = limit ? "looks at the page" : described(action);
    this.changed();
    try {
      return await work.race(limit ? work.snapshot(limit) : work.step(action));
    } catch (error) {
      if (session.ending.signal.aborted) throw session.ending.signal.reason;
      if (deadline.aborted) throw new No(work.waits ?? "timed_out", work.more);
      throw error;
    } finally {
      session.doing = "";
      this.changed();
    }
  }
}

// One step on its way.
class Work {
  constructor(windows, session, tab, signal) {
    Object.assign(this, { windows, session, signal, ids: session.tabs.get(tab), more: {} });
    if (!this.ids?.length) throw new Ended("closed");
    this.ended = new Promise((_, fail) => signal.addEventListener("abort", () => fail(signal.reason)));
    this.ended.catch(() => {}); // nobody may be waiting just then
  }

  get tab() {
    return this.ids.at(-1);
  }

  race(promise) {
    return this.signal.aborted ? Promise.reject(this.signal.reason) : Promise.race([promise, this.ended]);
  }

  sleep(ms) {
    return this.race(new Promise((done) => setTimeout(done, ms)));
  }

  async step(action) {
    const opened = this.ids.length;
    const values = await this[`do_${action.type}`](action);
    const notes = this.ids.length > opened ? ["opened"] : [];
    return { ...(await this.where()), values, notes };
  }

  // Where the page is, as far as it may be seen.
  async where() {
    const seen = await this.look("where").catch((error) => {
      if (error instanceof No) return {};
      throw error;
    });
    return { url: seen.url ?? "", title: seen.title ?? "" };
  }

  async do_navigate({ url }) {
    const target = this.address(url);
    for (let asked = 0; asked < 3; asked++) {
      await this.permitted(siteOf(target));
      await this.go(target);
      const { no, elsewhere } = await this.look("where", [], { tell: true });
      if (!no) return { status: this.status };
      if (no !== "not_allowed") throw new No(no, { site: elsewhere });
      await this.permitted(elsewhere);
    }
    throw new No("not_allowed", { site: siteOf(target) });
  }

  // An address that may be gone to. Never the runtime's own pages, on which a person agrees to things.
  address(url) {
    let parsed;
    try {
      parsed = new URL(url);
    } catch {
      throw new No("bad_address");
    }
    if (!/^https?:$/.test(parsed.protocol)) throw new No("bad_address");
    const { no, elsewhere } = inPage("", [], { ...this.rules(), sites: [siteOf(parsed)] }, parsed);
    if (no) throw new No(no, { site: elsewhere });
    return parsed.href;
  }

  rules() {
    const { host, port, hostname } = this.windows.address();
    const own = LOOPBACK.test(hostname) ? `:${port || 80}` : host;
    return { hosts: this.session.hosts, own, loopback: LOOPBACK.source };
  }

  async permitted(site) {
    if (!(await allowed()).some((one) => covers(one, site))) await this.asked(site);
  }

  // Ask the person, in a tab of this window and in the popup, and wait for the answer.
  async asked(site) {
    await ask(site, this.session.title);
    this.waits = "not_allowed";
    this.more = { site };
    const before = this.tab;
    const page = await chrome.tabs.create({ windowId: this.session.window, url: `ask.html?${new URLSearchParams({ site })}` });
    this.session.asking = page.id;
    chrome.windows.update(this.session.window, { drawAttention: true });
    this.windows.changed();
    try {
      if (!(await decided(site, this.signal))) throw new No("declined", { site });
    } finally {
      this.session.asking = null;
      await chrome.tabs.remove(page.id).catch(() => {});
      await chrome.tabs.update(before, { active: true }).catch(() => {});
      this.windows.changed();
    }
    this.waits = undefined;
  }

  async go(url) {
    const before = await this.probe();
    await chrome.tabs.update(this.tab, { url });
    await this.sleep(20);
    await this.arrived(before);
  }

  // Until the document is another than `before`, and whole enough to be read.
  async arrived(before) {
    for (let quiet = 0; ; ) {
      const { status } = await chrome.tabs.get(this.tab);
      const now = await this.probe();
      if (now.error === "unreachable" && status === "complete") throw new No("unreachable");
      if (now.document && now.document !== before.document && now.state !== "loading") return;
      quiet = status === "complete" ? quiet + 1 : 0;
      if (quiet > 3 && !now.document) throw new No("unseen");
      if (quiet > 3) return; // the same document: another place in it
      await this.sleep(LOOK);
    }
  }

  async probe() {
    try {
      const [{ documentId, result }] = await this.race(chrome.scripting.executeScript({
        target: { tabId: this.tab },
        injectImmediately: true,
        func: () => [document.readyState, performance.getEntriesByType("navigation")[0]?.responseStatus ?? 0],
      }));
      this.status = result[1] || null;
      return { document: documentId, state: result[0] };
    } catch (error) {
      if (this.signal.aborted) throw error;
      return { error: /error page/.test(error.message) ? "unreachable" : "unseen" };
    }
  }

  // After what may lead elsewhere than to the document `before`.
  async settle(before) {
    await this.sleep(SETTLE);
    for (;;) {
      const { status } = await chrome.tabs.get(this.tab);
      const { state, document } = await this.probe();
      if (status === "complete" || (document && document !== before.document && state !== "loading")) return;
      await this.sleep(LOOK);
    }
  }

  async do_wait({ time, selector }) {
    if (selector) await this.look("appeared", [{ selector }]);
    else await this.sleep(time * 1000);
    return {};
  }

  async do_click(action) {
    return this.acts("click", action);
  }
  async do_type(action) {
    return this.acts("type", action);
  }
  async do_select(action) {
    return this.acts("select", action);
  }
  async do_press(action) {
    return this.acts("press", action);
  }
  async do_scroll(action) {
    return this.look("scroll", [action]);
  }
  async do_extract(action) {
    return this.look("extract", [action]);
  }
  async do_extract_html(action) {
    return this.look("extract_html", [action]);
  }

  async acts(call, action) {
    const before = await this.probe();
    await this.look(call, [action]);
    await this.settle(before);
    return {};
  }

  // By the page itself: Chrome's own Back leaves out pages on which nobody has clicked.
  async do_back() {
    const before = await this.probe();
    await this.look("back");
    await this.settle(before);
    if ((await chrome.tabs.get(this.tab)).url !== chrome.runtime.getURL("blank.html")) return {};
    await chrome.tabs.goForward(this.tab);
    await this.settle({});
    throw new No("no_history");
  }

  async do_screenshot({ full_page: whole }) {
    await this.permitted(PICTURES);
    const shape = await this.look("measure");
    if (!whole || shape.height <= shape.view) return { screenshot: await this.picture() };
    if (shape.height > shape.view * MOST_SCREENS) throw new No("too_large");
    return { screenshot: await this.stitched(shape) };
  }

  async picture() {
    for (;;) {
      await this.look("where"); // else another page than the one that was agreed to might be on it
      const { windowId } = await chrome.tabs.update(this.tab, { active: true });
      try {
        const data = await chrome.tabs.captureVisibleTab(windowId, { format: "png" });
        const [shown] = await chrome.tabs.query({ active: true, windowId });
        if (shown?.id === this.tab) return data.slice(data.indexOf(",") + 1);
      } catch (error) {
        if (!/MAX_CAPTURE/.test(error.message)) throw new No("no_picture");
      }
      await this.sleep(BETWEEN_PICTURES);
    }
  }

  async stitched({ view, height, at }) {
    let canvas;
    for (let top = 0; top < height; top += view) {
      const { at: y } = await this.look("moveTo", [top]);
      await this.sleep(BETWEEN_PICTURES);
      const screen = await createImageBitmap(await (await fetch(`data:image/png;base64,${await this.picture()}`)).blob());
      const scale = screen.height / view;
      canvas ??= new OffscreenCanvas(screen.width, Math.round(height * scale));
      canvas.getContext("2d").drawImage(screen, 0, Math.round(y * scale));
    }
    await this.look("moveTo", [at]);
    const blob = await canvas.convertToBlob({ type: "image/png" });
    return base64(new Uint8Array(await blob.arrayBuffer()));
  }

  async snapshot(limit) {
    const frames = await this.inFrames("snapshot", [limit], { allFrames: true });
    const main = judged(frames.find(({ frameId }) => frameId === 0)?.result);
    if (main.wait) return this.sleep(LOOK).then(() => this.snapshot(limit));
    let { text } = main;
    for (const { frameId, result } of frames) {
      if (frameId === 0 || !result?.text) continue;
      const lines = result.text.split("\n").map((line) => `  ${line}`).join("\n");
      text += `\n- iframe ${JSON.stringify(result.title || result.url)}:\n${lines.replaceAll("[ref=e", `[ref=f${frameId}e`)}`;
    }
    return { ...main, text: text.slice(0, limit), truncated: main.truncated || text.length > limit };
  }

  // Call a function of page.js until it no longer says that what it needs may still come.
  async look(call, args = [], { tell = false } = {}) {
    const frame = /^f(\d+)/.exec(args[0]?.ref ?? "");
    for (;;) {
      const answer = await this.try(call, args, { frame: frame ? Number(frame[1]) : 0, tell });
      if (!answer.wait) {
        this.waits = undefined;
        return answer;
      }
      this.waits = answer.wait;
      await this.sleep(LOOK);
    }
  }

  async try(call, args = [], { frame = 0, tell = false } = {}) {
    const [{ result } = {}] = await this.inFrames(call, args, { frameIds: [frame] });
    return tell && result?.elsewhere ? result : judged(result);
  }

  async inFrames(call, args, frames) {
    const target = { tabId: this.tab, ...frames };
    const asked = { target, injectImmediately: true, func: inPage, args: [call, args, { ...this.rules(), sites: await allowed() }] };
    try {
      const first = await this.race(chrome.scripting.executeScript(asked));
      if (first.every(({ result }) => result !== "absent")) return first;
      await this.race(chrome.scripting.executeScript({ target, injectImmediately: true, files: ["page.js"] }));
      return await this.race(chrome.scripting.executeScript(asked));
    } catch (error) {
      if (this.signal.aborted) throw error;
      return this.unseen(error.message);
    }
  }

  // Why Chrome lets nobody look at the page.
  async unseen(message) {
    const { status, url } = await chrome.tabs.get(this.tab).catch(() => ({}));
    if (!status) throw new Ended("closed");
    if (url?.startsWith(chrome.runtime.getURL(""))) throw new No("no_page");
    if (/error page/.test(message)) throw new No("unreachable");
    if (status === "complete" && /permission|Cannot access/.test(message)) throw new No("unseen");
    return []; // on its way to another page
  }
}

// Runs in the page, so that nothing comes between the look at where it is and what is done: whether it may be acted on,
// and then what was asked. With an address as `place`, judges that.
function inPage(call, args, { hosts, own, sites, loopback }, place = location) {
  const { host, hostname, port, protocol } = place;
  const site = host.replace(/^www\./, "");
  const no = (why) => ({ elsewhere: site, no: why });
  const ours = own.startsWith(":") ? own === `:${port || 80}` && new RegExp(loopback).test(hostname) : own === host;
  if (ours) return no("runtime");
  const within = (pattern) => (pattern.startsWith("*.") ? hostname.endsWith(pattern.slice(1)) : hostname === pattern);
  if (hosts && !hosts.some(within)) return no("not_listed");
  if (!/^https?:$/.test(protocol)) return no("no_page");
  if (!sites.some((one) => site === one || site.endsWith(`.${one}`))) return no("not_allowed");
  return place === globalThis.location ? (globalThis.codewords?.[call](...args) ?? "absent") : {};
}

// What a page answered, unless that is a no.
function judged(result) {
  if (!result) return { wait: "timed_out" }; // the page went away meanwhile
  if (result.no) throw new No(result.no, result.elsewhere && { site: result.elsewhere });
  return result;
}

// What a person reads of a step. Never what is typed.
function described(action) {
  const at = action.selector ?? action.ref ?? "";
  return `${action.type.replace("_", " ")} ${action.url ?? at}`.trim().slice(0, 120);
}

function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 32_768) text += String.fromCharCode(...bytes.subarray(at, at + 32_768));
  return btoa(text);
}

function tabsOf({ spare, tabs, asking }) {
  return [spare, asking, ...[...tabs.values()].flat()].filter(Boolean);
}

function close(ids) {
  return Promise.all(ids.map((id) => chrome.tabs.remove(id).catch(() => {})));
}

// Tabs that a worker left which Chrome ended are closed by the next one.
async function remember() {
  await chrome.storage.session.set({ tabs: [...sessions.values()].flatMap(tabsOf) });
}

export async function closeLeft() {
  const { tabs = [] } = await chrome.storage.session.get("tabs");
  await close(tabs);
}
