// The console's pages in a webview. Its scripts come from the runtime; its requests go through the extension, which has the key:
// so the page needs no sign-in, and works where the runtime's address is not reachable from the window.
"use strict";
const vscode = require("vscode");
const { randomBytes } = require("node:crypto");

const ASSETS = /\/console\/assets\/([0-9a-f]{8,64})\/app\.js/;
const IMPORTS = /(?:import\(\s*|from\s*|import\s*)["']\.\/([\w./-]+\.js)["']/g;
const SENT_HEADERS = new Set(["accept", "content-type", "x-codewords-console", "idempotency-key", "codewords-dry-run"]);

/** The scripts and styles that a script imports. @param {string} text @returns {string[]} */
const importsOf = (text) => [...text.matchAll(IMPORTS)].map((found) => found[1]);

/** The styles as of this theme: a webview has the editor's, not that of the system. @param {string} css @param {boolean} dark */
const themed = (css, dark) => css
  .replaceAll("(prefers-color-scheme: dark)", dark ? "(min-width: 0)" : "(max-width: 0)")
  .replaceAll("(prefers-color-scheme:dark)", dark ? "(min-width:0)" : "(max-width:0)")
  .replace(/color-scheme:\s*light dark/, `color-scheme: ${dark ? "dark" : "light"}`);

class ConsoleAssets {
  /** @param {import("./runtime").Runtime} runtime @param {vscode.Uri} folder */
  constructor(runtime, folder) {
    this.runtime = runtime;
    this.folder = folder;
  }

  /** The folder with the console's files of this runtime's version. @param {boolean} dark @returns {Promise<vscode.Uri>} */
  async load(dark) {
    const shell = await (await this.runtime.send("GET", "/console/runs")).text();
    const digest = ASSETS.exec(shell)?.[1];
    if (!digest) throw new Error("This runtime has no console.");
    const folder = vscode.Uri.joinPath(this.folder, `${digest}-${dark ? "dark" : "light"}`);
    const complete = vscode.Uri.joinPath(folder, "complete");
    try {
      await vscode.workspace.fs.stat(complete);
      return folder;
    } catch {
      // Not here yet.
    }
    const waiting = ["app.js"];
    const seen = new Set(waiting);
    while (waiting.length) {
      const texts = await Promise.all(waiting.splice(0).map((name) => this.copy(digest, folder, name, (text) => text)));
      for (const name of texts.flatMap(importsOf)) {
        if (seen.has(name)) continue;
        seen.add(name);
        waiting.push(name);
      }
    }
    await this.copy(digest, folder, "app.css", (text) => themed(text, dark));
    await vscode.workspace.fs.writeFile(complete, new Uint8Array());
    return folder;
  }

  /** @param {string} digest @param {vscode.Uri} folder @param {string} name @param {(text: string) => string} change @returns {Promise<string>} */
  async copy(digest, folder, name, change) {
    const response = await this.runtime.send("GET", `/console/assets/${digest}/${name}`);
    if (!response.ok) throw new Error(`The console's ${name} cannot be read: ${response.status}.`);
    const text = change(await response.text());
    await vscode.workspace.fs.writeFile(vscode.Uri.joinPath(folder, name), new TextEncoder().encode(text));
    return text;
  }
}

const isDark = () => [vscode.ColorThemeKind.Dark, vscode.ColorThemeKind.HighContrast].includes(vscode.window.activeColorTheme.kind);

/** Carries the requests of one webview to the runtime. */
class Bridge {
  /** @param {import("./runtime").Runtime} runtime @param {(message: any) => void} post */
  constructor(runtime, post) {
    this.runtime = runtime;
    this.post = post;
    /** @type {Map<number, AbortController>} */
    this.open = new Map();
  }

  /** @param {{id: number, method: string, path: string, headers?: Record<string, string>, body?: string | Uint8Array}} request */
  async fetch({ id, method, path, headers = {}, body }) {
    const abort = new AbortController();
    this.open.set(id, abort);
    try {
      if (!/^\/(?![/\\])/.test(path)) throw new Error("not a path of the runtime");
      const sent = Object.fromEntries(Object.entries(headers).filter(([name]) => SENT_HEADERS.has(name.toLowerCase())));
      const response = await this.runtime.send(method, path, { raw: body, headers: sent, signal: abort.signal });
      this.post({ type: "head", id, status: response.status, headers: Object.fromEntries(response.headers) });
      if (response.body) {
        for await (const part of response.body) this.post({ type: "part", id, part });
      }
      this.post({ type: "end", id });
    } catch (error) {
      if (!abort.signal.aborted) this.post({ type: "failed", id, message: String(error) });
    } finally {
      this.open.delete(id);
    }
  }

  /** @param {number} id */
  abort(id) {
    this.open.get(id)?.abort();
  }

  dispose() {
    for (const abort of this.open.values()) abort.abort();
  }
}

class Console {
  /** @param {vscode.ExtensionContext} context @param {import("./host").Host} host */
  constructor(context, host) {
    this.context = context;
    this.host = host;
    this.assets = new ConsoleAssets(host.runtime, vscode.Uri.joinPath(context.globalStorageUri, "console"));
    /** @type {vscode.WebviewPanel | null} */
    this.panel = null;
  }

  /** Show a page of the console. @param {string} path @param {string} title */
  async show(path, title) {
    const folder = await this.assets.load(isDark());
    const roots = [this.assets.folder, vscode.Uri.joinPath(this.context.extensionUri, "media")];
    this.panel?.dispose();
    // Beside code; over the form that the run came from.
    const column = (vscode.window.tabGroups.activeTabGroup.viewColumn ?? 1) > 1 ? vscode.ViewColumn.Active : vscode.ViewColumn.Beside;
    const panel = vscode.window.createWebviewPanel("codewords.console", title, column, {
      enableScripts: true, retainContextWhenHidden: true, localResourceRoots: roots, enableFindWidget: true,
    });
    this.panel = panel;
    const bridge = new Bridge(this.host.runtime, (message) => panel.webview.postMessage(message));
    const themes = vscode.window.onDidChangeActiveColorTheme(() => this.host.act("Changing colours", async () => {
      panel.webview.html = this.html(panel.webview, await this.assets.load(isDark()), path);
    }));
    panel.onDidDispose(() => {
      themes.dispose();
      bridge.dispose();
      if (this.panel === panel) this.panel = null;
    });
    panel.webview.onDidReceiveMessage((message) => {
      if (message.type === "fetch") bridge.fetch(message);
      else if (message.type === "abort") bridge.abort(message.id);
      else if (message.type === "title") panel.title = String(message.title).slice(0, 80) || title;
      else if (message.type === "browser") this.openSignedIn(String(message.path));
      else if (message.type === "open" && /^https?:/.test(message.url)) vscode.env.openExternal(vscode.Uri.parse(message.url));
    });
    panel.webview.html = this.html(panel.webview, folder, path);
  }

  /** @param {vscode.Webview} webview @param {vscode.Uri} folder @param {string} path */
  html(webview, folder, path) {
    const uri = (/** @type {vscode.Uri} */ base, /** @type {string} */ name) => webview.asWebviewUri(vscode.Uri.joinPath(base, name));
    const nonce = randomBytes(16).toString("base64url");
    const policy = `default-src 'none'; script-src ${webview.cspSource} 'nonce-${nonce}'; style-src ${webview.cspSource} 'unsafe-inline'; `
      + `img-src data: blob:; media-src blob:; frame-src blob:; font-src ${webview.cspSource}`;
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>CodeWords</title>
<link rel="stylesheet" href="${uri(folder, "app.css")}">
<style nonce="${nonce}">body { padding: 0; }</style>
<script nonce="${nonce}" data-path="${path.replace(/[^\w/?=&.-]/g, "")}" src="${uri(this.context.extensionUri, "media/console.js")}"></script>
<script nonce="${nonce}" type="module" src="${uri(folder, "app.js")}"></script>
</head>
<body><div id="app"></div></body>
</html>`;
  }

  /** Open a page in the browser, signed in by an address that works once. @param {string} path */
  async openSignedIn(path) {
    await this.host.act("Opening the browser", async () => {
      const { url } = await this.host.runtime.call("POST", "/sign-ins", { body: { page: path } });
      await vscode.env.openExternal(vscode.Uri.parse(url, true));
    });
  }
}

module.exports = { Bridge, Console, ConsoleAssets, importsOf, themed };
