// Code that the runtime has, as read-only documents: versions, drafts, what is live.
"use strict";
const vscode = require("vscode");

const SCHEME = "codewords";

/** The address of the code of a workflow, of one of its versions, or of a draft. @param {{service?: string, version?: number, draft?: string}} source @param {string} name */
function codeUri(source, name) {
  const query = new URLSearchParams(Object.entries(source).filter(([, value]) => value !== undefined).map(([key, value]) => [key, String(value)]));
  return vscode.Uri.from({ scheme: SCHEME, path: `/${name}.py`, query: query.toString() });
}

/** Where the code of such an address is read. @param {string} query */
function sourceOf(query) {
  const wanted = new URLSearchParams(query);
  const draft = wanted.get("draft");
  if (draft) return { path: `/drafts/${encodeURIComponent(draft)}`, query: { code: "true" } };
  return { path: `/workflows/${encodeURIComponent(wanted.get("service") ?? "")}`, query: { code: "true", version: wanted.get("version") ?? undefined } };
}

/** @param {vscode.ExtensionContext} context @param {import("./host").Host} host */
function registerDocuments(context, host) {
  context.subscriptions.push(vscode.workspace.registerTextDocumentContentProvider(SCHEME, {
    async provideTextDocumentContent(uri) {
      const { path, query } = sourceOf(uri.query);
      return (await host.runtime.get(path, query)).code ?? "";
    },
  }));
}

module.exports = { codeUri, registerDocuments, sourceOf };
