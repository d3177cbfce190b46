// Debugging a workflow in its sandbox: `codewords dev --debug` serves it, and the Python debugger attaches.
"use strict";
const vscode = require("vscode");
const { spawn } = require("node:child_process");
const path = require("node:path");
const { CodewordsError, environment, findProgram } = require("./command");
const { EventLines, lineOf } = require("./events");

const DEBUGGER = "ms-python.debugpy";
const AGAIN_MS = 3000;

/** One workflow that is served for debugging. */
class Served {
  /** @param {import("./host").Host} host @param {string} file @param {vscode.WorkspaceFolder | undefined} folder */
  constructor(host, file, folder) {
    this.host = host;
    this.file = file;
    this.folder = folder;
    /** @type {import("node:child_process").ChildProcess | null} */
    this.child = null;
    this.port = 0;
    this.name = `CodeWords: ${path.basename(file)}`;
    this.servedAt = 0;
  }

  /** Start serving; settled when an editor can attach. @param {boolean} allow */
  async start(allow) {
    const settings = this.host.settings();
    const program = await findProgram(settings);
    const env = { ...process.env, ...environment(settings, await this.host.key()) };
    const child = spawn(program, ["dev", this.file, "--debug", "--debug-port", "0", "--json", ...(allow ? ["--allow"] : [])], { env, cwd: path.dirname(this.file), stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    const lines = new EventLines();
    let errors = "";
    await new Promise((resolve, reject) => {
      child.stdout.setEncoding("utf8").on("data", (text) => {
        for (const event of lines.push(text)) {
          this.host.log.info(lineOf(event));
          if (event.event === "served") this.servedAt = Date.now();
          if (event.error) reject(new CodewordsError(event.error));
          if (event.event === "debug") {
            this.port = event.port;
            resolve(undefined);
          }
        }
      });
      child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
      child.on("error", reject);
      child.on("close", () => reject(new CodewordsError({ message: errors.trim().split("\n").pop() || "codewords dev has ended." })));
    });
  }

  attach() {
    return vscode.debug.startDebugging(this.folder, { type: "debugpy", request: "attach", name: this.name, connect: { host: "127.0.0.1", port: this.port }, justMyCode: true });
  }

  stop() {
    this.child?.kill();
  }
}

/** @param {vscode.ExtensionContext} context @param {import("./host").Host} host @param {import("./actions").Actions} actions */
function registerDebugging(context, host, actions) {
  /** @type {Map<string, Served>} */
  const served = new Map();
  context.subscriptions.push(
    { dispose: () => served.forEach((one) => one.stop()) },
    vscode.debug.onDidTerminateDebugSession(async (session) => {
      const one = [...served.values()].find((candidate) => candidate.name === session.name);
      if (!one) return;
      // A save makes a new program, to which the editor attaches again; anything else is the person's stop.
      if (Date.now() - one.servedAt < AGAIN_MS && (await one.attach())) return;
      one.stop();
      served.delete(one.file);
    }),
    vscode.commands.registerCommand("codewords.debug", async (uri) => {
      const document = await actions.document(uri);
      if (!document || document.uri.scheme !== "file" || !(await document.save())) return;
      if (!vscode.extensions.getExtension(DEBUGGER)) {
        await host.tell(new CodewordsError({ message: `Debugging needs the extension Python Debugger (${DEBUGGER}).` }));
        return;
      }
      const file = document.uri.fsPath;
      served.get(file)?.stop();
      const one = new Served(host, file, vscode.workspace.getWorkspaceFolder(document.uri));
      served.set(file, one);
      await host.act(`Serving ${path.basename(file)}`, async () => {
        if (await actions.agreed((confirm) => one.start(Boolean(confirm.confirm)), "Agree and Debug")) await one.attach();
      });
    }),
  );
}

module.exports = { registerDebugging };
