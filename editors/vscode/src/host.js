// What all parts share: settings, the runtime, the log, and telling a person what went wrong.
"use strict";
const vscode = require("vscode");
const { callJson, CodewordsError, environment, findProgram, NotInstalled } = require("./command");
const { Runtime } = require("./runtime");

const KEY = "codewords.key";

class Host {
  /** @param {vscode.ExtensionContext} context */
  constructor(context) {
    this.context = context;
    this.log = vscode.window.createOutputChannel("CodeWords", { log: true });
    this.runtime = new Runtime(() => this.findEndpoint());
  }

  /** @returns {import("./command").CommandSettings} */
  settings() {
    const settings = vscode.workspace.getConfiguration("codewords");
    const text = (/** @type {string} */ name) => String(settings.get(name) ?? "").trim();
    const folders = vscode.workspace.isTrusted ? (vscode.workspace.workspaceFolders ?? []) : [];
    return {
      command: text("command"),
      home: text("home"),
      runtimeUrl: text("runtimeUrl").replace(/\/+$/, ""),
      folders: folders.filter((folder) => folder.uri.scheme === "file").map((folder) => folder.uri.fsPath),
    };
  }

  /** The key of a runtime elsewhere; that of the home is never stored here. */
  async key() {
    const { runtimeUrl } = this.settings();
    return runtimeUrl ? ((await this.context.secrets.get(`${KEY}:${runtimeUrl}`)) ?? "") : "";
  }

  /** @param {string} key */
  async storeKey(key) {
    await this.context.secrets.store(`${KEY}:${this.settings().runtimeUrl}`, key);
    this.runtime.forget();
  }

  /** @returns {Promise<import("./runtime").Endpoint>} */
  async findEndpoint() {
    const settings = this.settings();
    if (settings.runtimeUrl) return { url: settings.runtimeUrl, key: await this.key() };
    const program = await findProgram(settings);
    this.log.info(`Asking ${program} for the runtime`);
    return callJson(program, ["endpoint"], { env: environment(settings) });
  }

  /** Call the program with what the settings name. @param {string[]} args @param {{cwd?: string, signal?: AbortSignal}} [options] */
  async command(args, options = {}) {
    const settings = this.settings();
    return callJson(await findProgram(settings), args, { env: environment(settings, await this.key()), ...options });
  }

  /** Do what a person asked for; what fails is told them. @template T @param {string} title @param {(signal: AbortSignal) => Promise<T>} work @returns {Promise<T | undefined>} */
  async act(title, work) {
    const abort = new AbortController();
    try {
      return await vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: `$(sync~spin) ${title}` }, () => work(abort.signal));
    } catch (error) {
      await this.tell(error);
      return undefined;
    }
  }

  /** Tell a person of an error of what they did. @param {unknown} error */
  async tell(error) {
    this.note(error);
    const { message, hint } = wordsOf(error);
    const needsKey = error instanceof CodewordsError && error.code === "unauthenticated" && this.settings().runtimeUrl;
    const actions = needsKey ? ["Set the Key"] : ["Show the Log"];
    const chosen = await vscode.window.showErrorMessage([message, hint].filter(Boolean).join(" "), ...actions);
    if (chosen === "Set the Key") await vscode.commands.executeCommand("codewords.setKey");
    if (chosen === "Show the Log") this.log.show(true);
  }

  /** Write an error into the log, where nobody asked for anything. @param {unknown} error */
  note(error) {
    const { message, hint } = wordsOf(error);
    this.log.error([message, hint].filter(Boolean).join(" "));
  }

  /** Ask whether what a workflow asks for may be. @param {CodewordsError} error @param {string} action @returns {Promise<boolean>} */
  async agrees(error, action) {
    const asks = /** @type {string[]} */ (error.body.asks ?? []);
    const chosen = await vscode.window.showWarningMessage(error.message, { modal: true, detail: asks.join("\n") }, action);
    return chosen === action;
  }
}

/** @param {unknown} error */
function wordsOf(error) {
  if (error instanceof CodewordsError) return { message: error.message, hint: error.hint };
  if (error instanceof NotInstalled) return { message: error.message, hint: "" };
  const cause = /** @type {any} */ (error)?.cause?.code;
  if (cause) return { message: `The runtime does not answer (${cause}).`, hint: "codewords doctor says what is wrong." };
  return { message: error instanceof Error ? error.message : String(error), hint: "" };
}

module.exports = { Host };
