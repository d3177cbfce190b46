// The views: workflows with their versions, runs and triggers; drafts; what waits for a person.
"use strict";
const vscode = require("vscode");
const { NotInstalled } = require("./command");
const nodes = require("./nodes");

/** @typedef {import("./nodes").Item} Item */
const LIMIT = 30;
const SOON_MS = 400;

/** @implements {vscode.TreeDataProvider<Item>} */
class Tree {
  /** @param {(item: Item | undefined) => Promise<Item[]>} read @param {(item: Item) => vscode.Command | undefined} command */
  constructor(read, command) {
    this.read = read;
    this.command = command;
    this.changed = new vscode.EventEmitter();
    this.onDidChangeTreeData = this.changed.event;
  }

  /** @param {Item} [item] */
  getChildren(item) {
    return this.read(item);
  }

  /** @param {Item} item */
  getTreeItem(item) {
    const state = item.opens ? vscode.TreeItemCollapsibleState.Collapsed : vscode.TreeItemCollapsibleState.None;
    const shown = new vscode.TreeItem(item.label, state);
    shown.id = item.id;
    shown.description = item.description;
    shown.tooltip = item.tooltip;
    shown.contextValue = item.context;
    shown.command = this.command(item);
    shown.accessibilityInformation = { label: [item.label, item.description].filter(Boolean).join(", ") };
    if (item.icon) shown.iconPath = new vscode.ThemeIcon(item.icon, item.color ? new vscode.ThemeColor(item.color) : undefined);
    return shown;
  }
}

class Views {
  /** @param {import("./host").Host} host */
  constructor(host) {
    this.host = host;
    this.workflows = new Tree((item) => this.readWorkflows(item), (item) => this.click(item));
    this.drafts = new Tree(() => this.list("drafts", "/drafts", (items) => nodes.draftItems(items, Date.now())), (item) => this.click(item));
    this.inbox = new Tree(() => this.list("inbox", "/waiting", nodes.waitingItems), (item) => this.click(item));
    /** @type {NodeJS.Timeout | undefined} */
    this.timer = undefined;
    /** @type {AbortController | null} */
    this.listening = null;
  }

  /** @param {Item} item @returns {vscode.Command | undefined} */
  click(item) {
    if (item.run) return { command: "codewords.openRun", title: "Open Run", arguments: [item] };
    if (item.context === "version" || item.context === "draft") return { command: "codewords.compare", title: "Compare", arguments: [item] };
    if (item.context === "waiting") return { command: "codewords.answer", title: "Answer", arguments: [item] };
    return undefined;
  }

  /** @param {Item} [item] @returns {Promise<Item[]>} */
  async readWorkflows(item) {
    const { runtime } = this.host;
    const now = Date.now();
    if (!item) return this.list("state", "/workflows", (items) => nodes.workflowItems(items, now));
    if (!item.service) return [];
    const path = `/workflows/${encodeURIComponent(item.service)}`;
    return this.quietly(async () => {
      if (item.group === "versions") return nodes.versionItems(await runtime.get(path), now);
      if (item.group === "runs") return nodes.runItems((await runtime.get("/runs", { service_id: item.service, view: "rows", limit: LIMIT })).items, now);
      if (item.group === "triggers") return nodes.triggerItems((await runtime.get("/triggers", { service_id: item.service })).items, now);
      return nodes.groupItems(/** @type {string} */ (item.service));
    });
  }

  /** The items of a list; the context says why there are none. @param {string} context @param {string} path @param {(items: any[]) => Item[]} shown */
  async list(context, path, shown) {
    if (!vscode.workspace.isTrusted) return [];
    const set = (/** @type {string} */ value) => vscode.commands.executeCommand("setContext", `codewords.${context}`, value);
    try {
      const items = shown((await this.host.runtime.get(path)).items);
      set(items.length ? "shown" : "empty");
      this.listen();
      return items;
    } catch (error) {
      set(error instanceof NotInstalled ? "missing" : "failed");
      this.host.note(error);
      return [];
    }
  }

  /** @param {() => Promise<Item[]>} read */
  async quietly(read) {
    try {
      return await read();
    } catch (error) {
      this.host.note(error);
      return [];
    }
  }

  /** Read the views again as the home changes, while the connection lasts. */
  async listen() {
    if (this.listening) return;
    const abort = (this.listening = new AbortController());
    try {
      for await (const name of this.host.runtime.changes(abort.signal)) {
        if (name !== "sessions" && name !== "secrets") this.refreshSoon();
      }
    } catch (error) {
      if (!abort.signal.aborted) this.host.log.debug(`The stream of changes ended: ${error}`);
    }
    this.listening = null;
  }

  refreshSoon() {
    this.timer ??= setTimeout(() => this.refresh(), SOON_MS);
  }

  refresh() {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const tree of [this.workflows, this.drafts, this.inbox]) tree.changed.fire(undefined);
  }

  dispose() {
    clearTimeout(this.timer);
    this.listening?.abort();
  }
}

/** @param {vscode.ExtensionContext} context @param {import("./host").Host} host */
function registerViews(context, host) {
  const views = new Views(host);
  const inbox = vscode.window.createTreeView("codewords.inbox", { treeDataProvider: views.inbox });
  context.subscriptions.push(
    views,
    inbox,
    vscode.window.createTreeView("codewords.workflows", { treeDataProvider: views.workflows }),
    vscode.window.createTreeView("codewords.drafts", { treeDataProvider: views.drafts }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => views.refresh()),
  );
  return views;
}

module.exports = { registerViews };
