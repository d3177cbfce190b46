// The header and the routes of a workflow in the editor: completion, explanations, problems, actions.
"use strict";
const vscode = require("vscode");
const { NotInstalled } = require("./command");
const { findHeader, keyAt, placeAt } = require("./header");
const { Checker, problemsOf } = require("./problems");
const { declaredRoutes } = require("./routes");
const { explained, keysOf, suggestionsAt } = require("./schema");

const SCHEMA = require("../schemas/header.schema.json");
const PYTHON = [{ language: "python" }];
const WORKFLOW = { language: "python", scheme: "file" };

/** @param {vscode.TextDocument} document */
const linesOf = (document) => document.getText().split(/\r\n|\r|\n/);
/** @param {vscode.TextDocument | undefined} document */
const isWorkflow = (document) => document?.languageId === "python" && findHeader(linesOf(document)) !== null;

/** @type {vscode.CompletionItemProvider} */
const completion = {
  provideCompletionItems(document, position) {
    const place = placeAt(linesOf(document), position.line, position.character);
    if (!place) return [];
    const range = new vscode.Range(position.translate(0, -(/[^\n]*$/.exec(place.word)?.[0].length ?? 0)), position);
    const kind = { key: vscode.CompletionItemKind.Property, value: vscode.CompletionItemKind.Value, table: vscode.CompletionItemKind.Module }[place.kind];
    return suggestionsAt(SCHEMA, place).map((one) => {
      const item = new vscode.CompletionItem({ label: one.name, description: one.detail }, kind);
      item.insertText = one.text;
      item.range = range;
      item.filterText = one.name;
      item.documentation = new vscode.MarkdownString(one.documentation);
      return item;
    });
  },
};

/** @type {vscode.HoverProvider} */
const hover = {
  provideHover(document, position) {
    const found = keyAt(linesOf(document), position.line, position.character);
    const schema = found && keysOf(SCHEMA, found.table, found.key)[found.name];
    if (!schema) return null;
    const range = new vscode.Range(position.line, found.start, position.line, found.end);
    return new vscode.Hover(new vscode.MarkdownString(explained(SCHEMA, found.name, schema)), range);
  },
};

/** @implements {vscode.CodeLensProvider} */
class Lenses {
  constructor() {
    this.changed = /** @type {vscode.EventEmitter<void>} */ (new vscode.EventEmitter());
    this.onDidChangeCodeLenses = this.changed.event;
  }

  /** @param {vscode.TextDocument} document */
  provideCodeLenses(document) {
    const lines = linesOf(document);
    const header = findHeader(lines);
    if (!header || !vscode.workspace.isTrusted || !vscode.workspace.getConfiguration("codewords").get("codeLens")) return [];
    const lens = (/** @type {number} */ line, /** @type {string} */ title, /** @type {string} */ command, /** @type {any} */ route = undefined, tooltip = "") =>
      new vscode.CodeLens(new vscode.Range(line, 0, line, 0), { title, command, arguments: [document.uri, route], tooltip });
    return [
      lens(header.first, "$(check) Validate", "codewords.validate", undefined, "Run every check, also start it in a sandbox"),
      lens(header.first, "$(beaker) Try", "codewords.try", undefined, "Run what is in the editor; what it would send is held and listed"),
      lens(header.first, "$(play) Run", "codewords.run", undefined, "Run the deployed version"),
      lens(header.first, "$(cloud-upload) Deploy", "codewords.deploy", undefined, "Check it and make it live"),
      lens(header.first, "$(debug-alt) Debug", "codewords.debug", undefined, "Serve it and attach to it"),
      ...declaredRoutes(lines).flatMap((route) => [
        lens(route.line, `$(beaker) Try ${route.method} ${route.path}`, "codewords.try", route),
        lens(route.line, "$(play) Run", "codewords.run", route),
      ]),
    ];
  }
}

/** Problems of open workflows, as the checks of the runtime find them. */
class Problems {
  /** @param {import("./host").Host} host */
  constructor(host) {
    this.host = host;
    this.found = vscode.languages.createDiagnosticCollection("codewords");
    this.missing = false;
    this.checker = new Checker(
      (code, signal) => host.runtime.call("POST", "/validate", { body: { code, start: false }, signal }),
      (key, report) => this.show(vscode.Uri.parse(key), report.checks),
      { failed: (error) => this.failed(error) },
    );
  }

  /** @param {vscode.TextDocument} document */
  changed(document) {
    const wanted = vscode.workspace.isTrusted && vscode.workspace.getConfiguration("codewords").get("checkWhileTyping") && !this.missing;
    if (!isWorkflow(document)) {
      this.gone(document);
    } else if (wanted && document.uri.scheme === "file") {
      this.checker.changed(document.uri.toString(), () => document.getText());
    }
  }

  /** @param {vscode.TextDocument} document */
  gone(document) {
    this.checker.forget(document.uri.toString());
    this.found.delete(document.uri);
  }

  /** @param {vscode.Uri} uri @param {readonly import("./problems").Check[]} checks */
  show(uri, checks) {
    const document = vscode.workspace.textDocuments.find((one) => one.uri.toString() === uri.toString());
    if (!document) return;
    const home = findHeader(linesOf(document))?.first ?? 0;
    const severities = { error: vscode.DiagnosticSeverity.Error, warning: vscode.DiagnosticSeverity.Warning, information: vscode.DiagnosticSeverity.Information };
    this.found.set(uri, problemsOf(checks, home).map((problem) => {
      const line = document.lineAt(Math.min(problem.line, document.lineCount - 1)).range;
      const start = new vscode.Position(line.start.line, Math.min(problem.column, line.end.character));
      const word = document.getWordRangeAtPosition(start);
      const range = problem.column > 0 && word ? new vscode.Range(start, word.end) : document.validateRange(line);
      const shown = new vscode.Diagnostic(range, problem.message, severities[problem.severity]);
      shown.source = "codewords";
      shown.code = problem.code;
      return shown;
    }));
  }

  /** @param {unknown} error */
  failed(error) {
    // Looked for again when the settings change or the views are refreshed, not at each letter.
    this.missing = error instanceof NotInstalled;
    this.host.note(error);
  }

  again() {
    this.missing = false;
    vscode.workspace.textDocuments.forEach((document) => this.changed(document));
  }

  dispose() {
    this.checker.dispose();
    this.found.dispose();
  }
}

/** @param {vscode.ExtensionContext} context @param {import("./host").Host} host */
function registerLanguage(context, host) {
  const problems = new Problems(host);
  const lenses = new Lenses();
  const shown = () => {
    const document = vscode.window.activeTextEditor?.document;
    vscode.commands.executeCommand("setContext", "codewords.isWorkflow", Boolean(document && isWorkflow(document)));
  };
  context.subscriptions.push(
    problems,
    lenses.changed,
    vscode.languages.registerCompletionItemProvider(PYTHON, completion, "[", ".", " ", "=", "{"),
    vscode.languages.registerHoverProvider(PYTHON, hover),
    vscode.languages.registerCodeLensProvider(WORKFLOW, lenses),
    vscode.workspace.onDidOpenTextDocument((document) => problems.changed(document)),
    vscode.workspace.onDidChangeTextDocument(({ document }) => (problems.changed(document), shown())),
    vscode.workspace.onDidCloseTextDocument((document) => problems.gone(document)),
    vscode.window.onDidChangeActiveTextEditor(shown),
    vscode.workspace.onDidGrantWorkspaceTrust(() => (problems.again(), lenses.changed.fire())),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (!change.affectsConfiguration("codewords")) return;
      host.runtime.forget();
      problems.again();
      lenses.changed.fire();
    }),
  );
  problems.again();
  shown();
  return problems;
}

module.exports = { registerLanguage, isWorkflow, linesOf };
