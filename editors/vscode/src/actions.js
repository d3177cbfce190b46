// What a person does with a workflow: validate, try, run, deploy, compare.
"use strict";
const path = require("node:path");
const vscode = require("vscode");
const { CodewordsError } = require("./command");
const { codeUri } = require("./documents");
const { isWorkflow } = require("./language");
const { pickRoute } = require("./routes");

/** @typedef {import("./routes").Route} Route */
/** @typedef {{method: string, path: string}} Wanted */

const SAID_MS = 8000;
const DEPLOYED = "codewords.deployed";

class Actions {
  /** @param {vscode.ExtensionContext} context @param {import("./host").Host} host @param {import("./panels").FormPanels} panels @param {ReturnType<typeof import("./language").registerLanguage>} problems @param {() => void} changed */
  constructor(context, host, panels, problems, changed) {
    this.context = context;
    this.host = host;
    this.panels = panels;
    this.problems = problems;
    this.changed = changed;
  }

  /** The document that is meant: of the address, else the one that is edited. @param {unknown} uri */
  async document(uri) {
    const found = uri instanceof vscode.Uri ? await vscode.workspace.openTextDocument(uri) : vscode.window.activeTextEditor?.document;
    if (found && isWorkflow(found)) return found;
    await vscode.window.showInformationMessage("Open a Python file that begins with a workflow's header.");
    return null;
  }

  /** @param {unknown} uri */
  async validate(uri) {
    const document = await this.document(uri);
    if (!document) return;
    await this.host.act(`Checking ${nameOf(document)}`, async (signal) => {
      const report = await this.host.runtime.call("POST", "/validate", { body: { code: document.getText() }, signal });
      this.problems.show(document.uri, report.checks);
      say(report.all_passed ? `$(pass) ${nameOf(document)}: all checks passed` : `$(error) ${nameOf(document)}: a check failed`);
      if (!report.all_passed) await vscode.commands.executeCommand("workbench.actions.view.problems");
    });
  }

  /** Run what is in the editor as a dry run. @param {unknown} uri @param {Wanted} [wanted] */
  async try(uri, wanted) {
    const document = await this.document(uri);
    if (!document) return;
    const { runtime } = this.host;
    await this.host.act(`Preparing ${nameOf(document)}`, async (signal) => {
      const code = document.getText();
      const made = (await runtime.call("POST", "/drafts", { body: { code, name: nameOf(document) }, signal })).draft;
      const address = `/drafts/${encodeURIComponent(made.draft_id)}`;
      const close = async () => void (await runtime.call("DELETE", address));
      try {
        this.problems.show(document.uri, made.checks);
        const route = made.ready ? await this.choose(made.routes, wanted) : null;
        if (!made.ready) {
          say(`$(error) ${nameOf(document)}: a check failed`);
          await vscode.commands.executeCommand("workbench.actions.view.problems");
        }
        const body = { code, workflow: (await this.deployed(document))?.service_id };
        if (!route || !(await this.agreed((confirm) => runtime.call("PUT", `${address}/serving`, { body: { ...body, ...confirm }, signal }), "Agree and Try"))) {
          await close();
          return;
        }
        const renew = async () => void (await runtime.call("PUT", `${address}/serving`, { body: {} }));
        this.panels.show({ id: made.draft_id, name: nameOf(document), dryRun: true, example: made.example, renew, close }, route);
      } catch (error) {
        await close().catch((failed) => this.host.note(failed));
        throw error;
      }
    });
  }

  /** Run the deployed version of a file. @param {unknown} uri @param {Wanted} [wanted] */
  async run(uri, wanted) {
    const document = await this.document(uri);
    if (!document) return;
    await this.host.act(`Reading ${nameOf(document)}`, async () => {
      const found = await this.deployed(document);
      if (found) return this.runService(found.service_id, wanted);
      const chosen = await vscode.window.showInformationMessage(`${nameOf(document)} is not deployed yet.`, "Deploy", "Try as a Dry Run");
      if (chosen === "Deploy") await this.deploy(document.uri);
      if (chosen === "Try as a Dry Run") await this.try(document.uri, wanted);
      return undefined;
    });
  }

  /** @param {string} service @param {Wanted} [wanted] */
  async runService(service, wanted) {
    const detail = await this.host.runtime.get(`/workflows/${encodeURIComponent(service)}`);
    const route = await this.choose(detail.routes, wanted);
    if (route) this.panels.show({ id: service, name: detail.name, dryRun: false, example: detail.example }, route);
  }

  /** @param {unknown} uri */
  async deploy(uri) {
    const document = await this.document(uri);
    if (!document || document.uri.scheme !== "file" || !(await document.save())) return;
    const file = document.uri.fsPath;
    const version = document.version;
    await this.host.act(`Deploying ${nameOf(document)}`, async (signal) => {
      const done = await this.agreed((confirm) => {
        // What was shown is what is agreed to: other code is asked about again.
        if (confirm.confirm && (document.version !== version || document.isDirty)) {
          throw new CodewordsError({ message: "The file has changed since it was asked about.", hint: "Deploy it again." });
        }
        return this.host.command(["deploy", file, ...(confirm.confirm ? ["--allow"] : [])], { cwd: path.dirname(file), signal });
      }, "Agree and Deploy");
      if (!done) return;
      await this.context.workspaceState.update(DEPLOYED, { ...this.context.workspaceState.get(DEPLOYED, {}), [document.uri.toString()]: done.service_id });
      say(done.changed === false ? `$(pass) ${done.name} is live as version ${done.version} already` : `$(cloud-upload) ${done.name} version ${done.version} is live`);
      this.changed();
    });
  }

  /** The result of work that a person may have to agree to; null where they do not. @template T @param {(confirm: {confirm?: string}) => Promise<T>} work @param {string} action @returns {Promise<T | null>} */
  async agreed(work, action) {
    try {
      return (await work({})) ?? /** @type {any} */ (true);
    } catch (error) {
      if (!(error instanceof CodewordsError) || error.code !== "consent_needed") throw error;
      if (!(await this.host.agrees(error, action))) return null;
      return (await work({ confirm: String(error.body.confirm ?? "") })) ?? /** @type {any} */ (true);
    }
  }

  /** The workflow that a file is deployed as, or null. @param {vscode.TextDocument} document @returns {Promise<{service_id: string, name: string} | null>} */
  async deployed(document) {
    const known = this.context.workspaceState.get(DEPLOYED, /** @type {Record<string, string>} */ ({}))[document.uri.toString()];
    const found = (await this.host.runtime.get("/workflows", { query: nameOf(document), limit: 100 })).items;
    const byId = found.find((/** @type {any} */ one) => one.service_id === known);
    if (byId) return byId;
    const named = found.filter((/** @type {any} */ one) => one.name === nameOf(document));
    return named.length === 1 ? named[0] : null;
  }

  /** The wanted route, else what the person picks. @param {Route[]} routes @param {Wanted} [wanted] @returns {Promise<Route | null>} */
  async choose(routes, wanted) {
    if (wanted || routes.length < 2) {
      const found = pickRoute(routes, wanted);
      if (!found) throw new CodewordsError({ message: wanted ? `${wanted.method} ${wanted.path} is not a route of it.` : "It has no route.", hint: wanted ? "Deploy what is in the editor." : "" });
      return found;
    }
    const picked = await vscode.window.showQuickPick(routes.map((route) => ({ label: `${route.method} ${route.path}`, description: route.summary, route })), { placeHolder: "Which route?" });
    return picked?.route ?? null;
  }

  /** Show code of the runtime. @param {{service?: string, version?: number, draft?: string, label?: string}} item */
  async openCode(item) {
    const { service, version, draft } = item;
    const uri = codeUri(draft ? { draft } : { service, version }, draft ?? `${service}${version ? ` v${version}` : ""}`);
    const document = await vscode.workspace.openTextDocument(uri);
    await vscode.window.showTextDocument(await vscode.languages.setTextDocumentLanguage(document, "python"), { preview: true });
  }

  /** Show what is different between a version or a draft and the live version; of that, what it changed. @param {{service?: string, version?: number, draft?: string, live?: boolean}} item @returns {Promise<unknown>} */
  async compare(item) {
    if ((item.draft && !item.service) || (item.live && item.version === 1)) return this.openCode(item);
    if (item.live && item.version) return this.compare({ service: item.service, version: item.version - 1 });
    const live = codeUri({ service: item.service }, `${item.service} live`);
    const other = item.draft ? codeUri({ draft: item.draft }, item.draft) : codeUri({ service: item.service, version: item.version }, `${item.service} v${item.version}`);
    const title = item.draft ? `${item.service}: live ↔ draft` : `${item.service}: version ${item.version} ↔ live`;
    const sides = item.draft ? [live, other] : [other, live];
    return vscode.commands.executeCommand("vscode.diff", sides[0], sides[1], title, { preview: true });
  }

  /** Show what a file changes against its live version. @param {unknown} uri */
  async compareFile(uri) {
    const document = await this.document(uri);
    if (!document) return;
    await this.host.act(`Reading ${nameOf(document)}`, async () => {
      const found = await this.deployed(document);
      if (!found) throw new CodewordsError({ message: `${nameOf(document)} is not deployed yet.` });
      await vscode.commands.executeCommand("vscode.diff", codeUri({ service: found.service_id }, `${found.service_id} live`), document.uri, `${found.name}: live ↔ file`);
    });
  }
}

/** @param {vscode.TextDocument} document */
const nameOf = (document) => path.posix.basename(document.uri.path, ".py");

/** @param {string} text */
const say = (text) => void vscode.window.setStatusBarMessage(text, SAID_MS);

module.exports = { Actions };
