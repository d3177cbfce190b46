// The chat host around a card, by MCP Apps (2026-01-26): JSON-RPC in messages with the window that holds the card.
import { signal } from "../ui.js";

const PROTOCOL = "2026-01-26";
const SILENT_MS = 5000;

/** `waiting`: no answer yet; `silent`: none for a while; `on`: it answered; `over`: it takes the card away. */
export const state = signal(/** @type {"waiting" | "silent" | "on" | "over"} */ ("waiting"));
/** Theme, styles and size of the host. */
export const context = signal(/** @type {Record<string, any>} */ ({}));
/** What the host can do for a card. */
export const abilities = signal(/** @type {Record<string, any>} */ ({}));
/** The arguments of the call that the card is shown for. */
export const input = signal(/** @type {Record<string, any> | null} */ (null));
/** Its result, once it is there. */
export const result = signal(/** @type {Record<string, any> | null} */ (null));
/** Why the call was given up. */
export const cancelled = signal(/** @type {string | null} */ (null));

/** @type {Map<number, {resolve: (value: any) => void, reject: (error: any) => void}>} */
const open = new Map();
let number = 0;
let origin = "";

// The host's origin is not known before its first message; nothing that is sent until then tells anything.
const post = (/** @type {object} */ message) => parent.postMessage({ jsonrpc: "2.0", ...message }, origin && origin !== "null" ? origin : "*");

/** @param {string} method @param {object} params @returns {Promise<any>} */
export function request(method, params) {
  number += 1;
  const id = number;
  return new Promise((resolve, reject) => {
    open.set(id, { resolve, reject });
    post({ id, method, params });
  });
}

/** @type {Record<string, (params: any) => void>} */
const heard = {
  "ui/notifications/tool-input": (params) => (input.value = params.arguments ?? {}),
  "ui/notifications/tool-result": (params) => (result.value = params),
  "ui/notifications/tool-cancelled": (params) => (cancelled.value = params.reason ?? ""),
  "ui/notifications/host-context-changed": (params) => (context.value = { ...context.value, ...params }),
};

/** @param {MessageEvent} event */
function receive({ source, origin: from, data }) {
  if (source !== parent || data?.jsonrpc !== "2.0" || (origin && from !== origin)) return;
  origin = from;
  const { id, method, params = {} } = data;
  if (method === undefined) {
    const asked = open.get(id);
    open.delete(id);
    if (data.error) asked?.reject(data.error);
    else asked?.resolve(data.result);
  } else if (id === undefined) heard[method]?.(params);
  else if (method === "ping") post({ id, result: {} });
  else if (method === "ui/resource-teardown") {
    state.value = "over";
    post({ id, result: {} });
  } else post({ id, error: { code: -32601, message: "Method not found" } });
}

/** Tell the host how tall the card is, now and whenever that changes. */
function tellSize() {
  let told = 0;
  new ResizeObserver(() => {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    if (height !== told) post({ method: "ui/notifications/size-changed", params: { height } });
    told = height;
  }).observe(document.body);
}

/** Say hello to the host. @param {string} name @param {string} version */
export async function connect(name, version) {
  addEventListener("message", receive);
  setTimeout(() => state.peek() === "waiting" && (state.value = "silent"), SILENT_MS);
  const hello = await request("ui/initialize", { appInfo: { name, version }, appCapabilities: { availableDisplayModes: ["inline"] }, protocolVersion: PROTOCOL });
  context.value = { ...hello.hostContext, ...context.value };
  abilities.value = hello.hostCapabilities ?? {};
  state.value = "on";
  post({ method: "ui/notifications/initialized", params: {} });
  tellSize();
}
