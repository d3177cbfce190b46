// The connection to the runtime: made, kept, made again.
//
// The runtime sends a ping every 20 s. That keeps the worker alive, which Chrome ends after 30 s without traffic (since
// Chrome 116 messages of a WebSocket count), and tells that the runtime is there. A worker that was ended is woken by
// the alarm in worker.js and connects again.

const PAUSES = [500, 1000, 2000, 4000, 8000, 15_000];
const SILENCE = 50_000;
export const LOOPBACK = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;
const CLOSED = { 4001: "revoked", 4002: "replaced", 4003: "version" };
// Codes of close frames, as runtime/browser/own/connection.py names them.

export class Link {
  // `ask(message)` answers what the runtime asks; `lost()` is told when the connection ends; `changed()` of each state.
  constructor({ ask, lost, changed }) {
    Object.assign(this, { ask, lost, changed, socket: null, state: "unpaired", home: "", failures: 0 });
  }

  async start() {
    const { pairing } = await chrome.storage.local.get("pairing");
    if (this.socket) return;
    if (!pairing || pairing.ended) return this.become(pairing?.ended ?? "unpaired", pairing?.home);
    this.url = pairing.url;
    this.become("connecting", pairing.home);
    this.open(pairing.url, { token: pairing.token });
  }

  // Pair with the runtime whose pairing page has this address; resolves to "" or to why not.
  async pair(address) {
    const { url, code } = readPairing(address);
    if (!url) return "That is not the address of a pairing page. `codewords browser pair` opens one.";
    if (!isSafe(url)) return "Over a network a runtime is paired by https only.";
    this.drop();
    this.become("connecting");
    return new Promise((paired) => this.open(url, { pair: code }, paired));
  }

  async forget() {
    this.send({ forget: true });
    this.drop();
    await chrome.storage.local.remove(["pairing", "sites", "asked"]);
    this.become("unpaired");
  }

  // `paired` is given while pairing: it is told "" or why not.
  open(url, proof, paired = null) {
    const socket = (this.socket = new WebSocket(`${url.replace(/^http/, "ws")}/browser/connect`));
    const hello = { hello: 1, ...proof, version: chrome.runtime.getManifest().version, browser: browserName() };
    socket.onopen = () => socket.send(JSON.stringify(hello));
    socket.onmessage = ({ data }) => this.receive(socket, JSON.parse(data), url, paired);
    socket.onclose = ({ code }) => this.closed(socket, code, paired);
    this.watch(socket);
  }

  async receive(socket, message, url, paired) {
    if (socket !== this.socket) return;
    this.watch(socket);
    if ("ping" in message) return this.send({ pong: message.ping });
    if ("welcome" in message) return this.welcomed(message, url, paired);
    const answer = await this.ask(message);
    if (answer && socket === this.socket) this.send(answer);
  }

  async welcomed({ welcome, token }, url, paired) {
    if (token) {
      const { pairing } = await chrome.storage.local.get("pairing");
      if (pairing?.url !== url) await chrome.storage.local.remove(["sites", "asked"]); // they were another runtime's
      await chrome.storage.local.set({ pairing: { url, token, home: welcome } });
    }
    Object.assign(this, { url, failures: 0 });
    this.become("connected", welcome);
    paired?.("");
  }

  async closed(socket, code, paired) {
    if (socket !== this.socket) return;
    clearTimeout(this.silence);
    this.socket = null;
    this.lost();
    if (paired && this.state !== "connected") {
      paired(code === 4001 ? "This pairing page was used, or has expired." : "The runtime does not answer.");
      return this.start();
    }
    const { pairing } = await chrome.storage.local.get("pairing");
    if (!pairing) return;
    if (CLOSED[code]) {
      await chrome.storage.local.set({ pairing: { ...pairing, ended: CLOSED[code] } });
      this.become(CLOSED[code], pairing.home);
    } else {
      this.become("away", pairing.home);
      setTimeout(() => this.start(), PAUSES[Math.min(this.failures++, PAUSES.length - 1)]);
    }
  }

  watch(socket) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => socket.close(), SILENCE);
  }

  drop() {
    const { socket } = this;
    this.socket = null;
    clearTimeout(this.silence);
    if (socket) {
      socket.close();
      this.lost();
    }
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  become(state, home = "") {
    Object.assign(this, { state, home });
    this.changed();
  }
}

// {url, code} of the address of a pairing page; {} of any other.
export function readPairing(address) {
  const found = /^(https?:\/\/[^/?#]+)\/browser\/pair\/([\w-]{20,64})$/.exec((address ?? "").trim());
  return found ? { url: found[1], code: found[2] } : {};
}

function isSafe(url) {
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || LOOPBACK.test(hostname);
}

function browserName() {
  const { brands = [], platform = "" } = navigator.userAgentData ?? {};
  const { brand, version } = brands.find((one) => !/not.?a.?brand|^Chromium$/i.test(one.brand)) ?? brands[0] ?? {};
  return `${brand ?? "Chrome"} ${version ?? ""} on ${platform || "this machine"}`;
}
