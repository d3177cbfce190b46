// The form of a route beside its code, and what the route answered.
"use strict";
const vscode = require("vscode");
const { randomBytes } = require("node:crypto");
const { CodewordsError } = require("./command");
const { escaped, fieldsOf, formHtml, valuesOf } = require("./form");
const { addressOf } = require("./routes");

/** @typedef {import("./routes").Route} Route */
/**
 * @typedef {object} Target  What is called.
 * @property {string} id  A workflow's id, or a draft's.
 * @property {string} name
 * @property {boolean} dryRun  Whether what it would write is held.
 * @property {any} example
 * @property {() => Promise<void>} [renew]
 * @property {() => Promise<void>} [close]
 */

const RENEW_MS = 45_000;
const SHOWN = 200_000;

class FormPanels {
  /** @param {vscode.ExtensionContext} context @param {import("./host").Host} host */
  constructor(context, host) {
    this.context = context;
    this.host = host;
    /** @type {Map<string, vscode.WebviewPanel>} */
    this.panels = new Map();
  }

  /** Show the form of a route of a target. @param {Target} target @param {Route} route */
  show(target, route) {
    const key = `${target.dryRun ? "try" : "run"} ${target.name} ${route.method} ${route.path}`;
    this.panels.get(key)?.dispose();
    const media = vscode.Uri.joinPath(this.context.extensionUri, "media");
    const title = `${target.dryRun ? "Try" : "Run"} ${target.name}`;
    const panel = vscode.window.createWebviewPanel("codewords.form", title, vscode.ViewColumn.Beside, {
      enableScripts: true, retainContextWhenHidden: true, localResourceRoots: [media],
    });
    this.panels.set(key, panel);
    const fields = fieldsOf(route, target.example);
    const timer = target.renew && setInterval(() => target.renew?.().catch((error) => this.host.note(error)), RENEW_MS);
    /** @type {AbortController | null} */
    let running = null;
    panel.onDidDispose(() => {
      clearInterval(timer);
      running?.abort();
      if (this.panels.get(key) === panel) this.panels.delete(key);
      target.close?.().catch((error) => this.host.note(error));
    });
    panel.webview.onDidReceiveMessage(async (message) => {
      if (message.type === "open") {
        await vscode.commands.executeCommand("codewords.openRun", { run: String(message.run) });
      } else if (message.type === "cancel") {
        running?.abort();
      } else if (message.type === "submit") {
        running?.abort();
        const abort = (running = new AbortController());
        panel.webview.postMessage({ type: "running" });
        const answer = await this.run(target, route, fields, message.typed, abort.signal);
        if (running === abort) panel.webview.postMessage({ type: "answer", ...answer });
      }
    });
    panel.webview.html = this.html(panel.webview, target, route, formHtml(fields));
  }

  /** @param {Target} target @param {Route} route @param {ReturnType<typeof fieldsOf>} fields @param {Record<string, string | boolean>} typed @param {AbortSignal} signal */
  async run(target, route, fields, typed, signal) {
    try {
      const { body, parameters } = valuesOf(fields, typed);
      const began = Date.now();
      const response = await this.host.runtime.send(route.method, `/run/${encodeURIComponent(target.id)}${addressOf(route, parameters)}`, {
        body, signal, headers: target.dryRun ? { "Codewords-Dry-Run": "yes" } : {},
      });
      const text = await response.text();
      const run = response.headers.get("x-request-id") ?? "";
      const writes = target.dryRun && run ? await this.writes(run) : [];
      return { status: response.status, ok: response.ok, ms: Date.now() - began, text: pretty(text).slice(0, SHOWN), run, writes };
    } catch (error) {
      if (signal.aborted) return { status: 0, ok: false, ms: 0, text: "Cancelled.", run: "", writes: [] };
      this.host.note(error);
      return { status: 0, ok: false, ms: 0, text: error instanceof Error ? error.message : String(error), run: "", writes: [] };
    }
  }

  /** What a dry run held, a line each. @param {string} run @returns {Promise<string[]>} */
  async writes(run) {
    try {
      const found = await this.host.runtime.get(`/runs/${encodeURIComponent(run)}/writes`);
      return (found.writes ?? found.items ?? []).map((/** @type {any} */ one) => `${one.method} ${one.address}  ${String(one.body ?? "").slice(0, 300)}`.trim());
    } catch (error) {
      if (!(error instanceof CodewordsError)) throw error;
      return [];
    }
  }

  /** @param {vscode.Webview} webview @param {Target} target @param {Route} route @param {string} form */
  html(webview, target, route, form) {
    const uri = (/** @type {string} */ name) => webview.asWebviewUri(vscode.Uri.joinPath(this.context.extensionUri, "media", name));
    const nonce = randomBytes(16).toString("base64url");
    const note = target.dryRun ? "<p class=\"quiet\">A dry run of what is in the editor: what it would send is held and listed.</p>" : "";
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'nonce-${nonce}'; style-src ${webview.cspSource}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(target.name)}</title>
<link rel="stylesheet" href="${uri("form.css")}">
</head>
<body>
<main>
<h1>${escaped(target.name)} <code>${escaped(route.method)} ${escaped(route.path)}</code></h1>
${route.summary ? `<p>${escaped(route.summary)}</p>` : ""}${note}
<form id="form">
${form || '<p class="quiet">It takes no input.</p>'}
<div class="buttons"><button type="submit">${target.dryRun ? "Try" : "Run"}</button><button type="button" id="cancel" class="second" hidden>Cancel</button></div>
</form>
<section id="answer" aria-live="polite" aria-label="Answer" hidden></section>
</main>
<script nonce="${nonce}" src="${uri("form.js")}"></script>
</body>
</html>`;
  }
}

/** @param {string} text */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

module.exports = { FormPanels };
