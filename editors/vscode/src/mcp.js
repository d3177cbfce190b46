// Our MCP server for the chat of the editor.
"use strict";
const vscode = require("vscode");
const { environment, findProgram } = require("./command");

/** @param {vscode.ExtensionContext} context @param {import("./host").Host} host */
function registerMcp(context, host) {
  // Editors that are built from VS Code may lack it.
  if (!vscode.lm?.registerMcpServerDefinitionProvider) return;
  const changed = /** @type {vscode.EventEmitter<void>} */ (new vscode.EventEmitter());
  context.subscriptions.push(
    changed,
    vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration("codewords") && changed.fire()),
    vscode.lm.registerMcpServerDefinitionProvider("codewords", {
      onDidChangeMcpServerDefinitions: changed.event,
      async provideMcpServerDefinitions() {
        const settings = host.settings();
        const version = String(context.extension.packageJSON.version);
        if (settings.runtimeUrl) {
          return [new vscode.McpHttpServerDefinition("CodeWords", vscode.Uri.parse(`${settings.runtimeUrl}/mcp`), {}, version)];
        }
        try {
          const program = await findProgram(settings, "codewords-mcp");
          return [new vscode.McpStdioServerDefinition("CodeWords", program, [], environment(settings), version)];
        } catch {
          return [];
        }
      },
      async resolveMcpServerDefinition(server) {
        // The key is given when the server is started, so that no list of servers holds it.
        if (server instanceof vscode.McpHttpServerDefinition) {
          const key = await host.key();
          if (key) server.headers = { Authorization: `Bearer ${key}` };
        }
        return server;
      },
    }),
  );
}

module.exports = { registerMcp };
