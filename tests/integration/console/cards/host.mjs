// A chat host in a page, as the reference host of ext-apps is built: a real MCP client, the real bridge, and a sandbox of
// another origin around each card. It keeps what cards ask for, and each message that the schemas of ext-apps refuse.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import * as bridge from "@modelcontextprotocol/ext-apps/app-bridge";

const { AppBridge, PostMessageTransport, getToolUiResourceUri, RESOURCE_MIME_TYPE } = bridge;
const SCHEMAS = {
  "ui/initialize": bridge.McpUiInitializeRequestSchema,
  "ui/open-link": bridge.McpUiOpenLinkRequestSchema,
  "ui/notifications/initialized": bridge.McpUiInitializedNotificationSchema,
  "ui/notifications/size-changed": bridge.McpUiSizeChangedNotificationSchema,
};
const INFO = { name: "card tests", version: "1" };
const sandbox = new URLSearchParams(location.search).get("sandbox");
const host = { invalid: [], shown: [], methods: [] };
window.host = host;

/** Connect to a runtime; `announce`: whether the client says that it shows cards. */
host.connect = async (url, key, announce = true) => {
  const extensions = announce ? { "io.modelcontextprotocol/ui": { mimeTypes: [RESOURCE_MIME_TYPE] } } : {};
  host.client = new Client(INFO, { capabilities: { extensions } });
  await host.client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: key } } }));
  host.tools = new Map((await host.client.listTools()).tools.map((tool) => [tool.name, tool]));
  return [...host.tools.keys()];
};

addEventListener("message", ({ data, source }) => {
  if (!host.shown.some((one) => one.frame.contentWindow === source) || !data?.method) return;
  host.methods.push(data.method);
  const schema = SCHEMAS[data.method];
  if (schema && !schema.safeParse(data).success) host.invalid.push(data);
  if (!schema && !["tools/call", "ui/notifications/sandbox-proxy-ready"].includes(data.method)) host.invalid.push(data);
});

const ready = (frame) => new Promise((resolve) => {
  addEventListener("message", function heard({ data, source }) {
    if (source !== frame.contentWindow || data?.method !== "ui/notifications/sandbox-proxy-ready") return;
    removeEventListener("message", heard);
    resolve();
  });
});

/** Call a tool and show its card; the number of the card. */
host.show = async (name, args, options = {}) => {
  const uri = getToolUiResourceUri(host.tools.get(name));
  const [content] = (await host.client.readResource({ uri })).contents;
  if (content.mimeType !== RESOURCE_MIME_TYPE) throw new Error(content.mimeType);
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts allow-same-origin allow-forms");
  frame.style.cssText = `display:block;border:0;width:${options.width ?? "100%"};height:60px`;
  const one = { frame, opened: [], calls: [], sizes: [], meta: content._meta };
  host.shown.push(one);
  const proxy = ready(frame);
  frame.src = `${sandbox}#${location.origin}`;
  document.body.append(frame);
  await proxy;

  const result = options.pending ? null : host.client.callTool({ name, arguments: args });
  if (options.silent) {
    frame.contentWindow.postMessage({ jsonrpc: "2.0", method: "ui/notifications/sandbox-resource-ready", params: { html: content.text } }, "*");
    await result;
    return host.shown.length - 1;
  }

  const abilities = { openLinks: {}, serverTools: {}, ...options.abilities };
  for (const lacking of options.without ?? []) delete abilities[lacking];
  one.bridge = new AppBridge(null, INFO, abilities, { hostContext: { theme: options.theme ?? "light", styles: options.styles, containerDimensions: { maxHeight: 6000 } } });
  one.bridge.oncalltool = async (params) => {
    one.calls.push(params);
    const visibility = host.tools.get(params.name)?._meta?.ui?.visibility ?? ["model", "app"];
    if (!visibility.includes("app") || options.refuse?.includes(params.name)) throw new Error("Refused by the person");
    return host.client.callTool(params);
  };
  one.bridge.onopenlink = async ({ url }) => {
    one.opened.push(url);
    return options.closed ? { isError: true } : {};
  };
  one.bridge.onsizechange = ({ height }) => {
    one.sizes.push(height);
    if (height) frame.style.height = `${height}px`;
  };
  const initialized = new Promise((resolve) => (one.bridge.oninitialized = resolve));
  await one.bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await one.bridge.sendSandboxResourceReady({ html: content.text });
  await initialized;
  await one.bridge.sendToolInput({ arguments: args });
  if (options.pending) return host.shown.length - 1;
  one.result = await result;
  await one.bridge.sendToolResult(one.result);
  return host.shown.length - 1;
};

/** Take all cards away, as a host does: it tells them first. */
host.clear = async () => {
  for (const { bridge: shown, frame } of host.shown.splice(0)) {
    await shown?.teardownResource({});
    frame.remove();
  }
  host.invalid.length = host.methods.length = 0;
};
document.body.dataset.ready = "yes";
