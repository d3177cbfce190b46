// The extension: joins its parts.
"use strict";
const vscode = require("vscode");
const { Actions } = require("./actions");
const { Console } = require("./console");
const { registerDebugging } = require("./debugging");
const { registerDocuments } = require("./documents");
const { Host } = require("./host");
const { registerLanguage } = require("./language");
const { registerMcp } = require("./mcp");
const { FormPanels } = require("./panels");
const { registerViews } = require("./views");

/** @param {vscode.ExtensionContext} context */
function activate(context) {
  const host = new Host(context);
  const problems = registerLanguage(context, host);
  const views = registerViews(context, host);
  const panels = new FormPanels(context, host);
  const console = new Console(context, host);
  const actions = new Actions(context, host, panels, problems, () => views.refreshSoon());
  registerDocuments(context, host);
  registerMcp(context, host);
  registerDebugging(context, host, actions);

  /** @type {Record<string, (...args: any[]) => unknown>} */
  const commands = {
    "codewords.validate": (uri) => actions.validate(uri),
    "codewords.try": (uri, route) => actions.try(uri, route),
    "codewords.run": (uri, route) => actions.run(uri, route),
    "codewords.deploy": (uri) => actions.deploy(uri),
    "codewords.compareFile": (uri) => actions.compareFile(uri),
    "codewords.openCode": (item) => host.act("Reading the code", () => actions.openCode(item)),
    "codewords.compare": (item) => host.act("Comparing", async () => actions.compare(item)),
    "codewords.runWorkflow": (item) => host.act("Reading the workflow", () => actions.runService(item.service)),
    "codewords.openRun": (item) => host.act("Opening the run", () => console.show(`/console/runs/${encodeURIComponent(item.run)}`, "Run")),
    "codewords.answer": (item) => console.openSignedIn(item.path),
    "codewords.openConsole": () => console.openSignedIn("/"),
    "codewords.showLog": () => host.log.show(),
    "codewords.refresh": () => {
      host.runtime.forget();
      problems.again();
      views.refresh();
    },
    "codewords.setKey": async () => {
      if (!host.settings().runtimeUrl) {
        await vscode.window.showInformationMessage("The home's own runtime needs no key. Set the address of another one first: codewords.runtimeUrl.");
        return;
      }
      const key = await vscode.window.showInputBox({ title: `Key of ${host.settings().runtimeUrl}`, password: true, ignoreFocusOut: true, prompt: "`codewords keys create` there makes one." });
      if (key === undefined) return;
      await host.storeKey(key.trim());
      problems.again();
      views.refresh();
    },
  };
  context.subscriptions.push(host.log, ...Object.entries(commands).map(([name, run]) => vscode.commands.registerCommand(name, run)));
}

module.exports = { activate, deactivate() {} };
