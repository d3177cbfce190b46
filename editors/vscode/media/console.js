// Before the console's own scripts: its requests, its stream of changes and its links go through the extension.
"use strict";
(() => {
  // @ts-expect-error  what a webview has
  const editor = acquireVsCodeApi();
  const path = document.currentScript?.dataset.path ?? "/";
  history.replaceState(null, "", path);

  let last = 0;
  /** @type {Map<number, (message: any) => void>} */
  const waiting = new Map();
  addEventListener("message", ({ data }) => waiting.get(data?.id)?.(data));

  /** @param {any} input @param {any} [init] */
  window.fetch = async (input, init = {}) => {
    const url = new URL(String(input?.url ?? input), location.href);
    const body = init.body instanceof Blob ? new Uint8Array(await init.body.arrayBuffer()) : init.body;
    const id = (last += 1);
    return new Promise((resolve, reject) => {
      /** @type {ReadableStreamDefaultController<any>} */
      let controller;
      const end = () => waiting.delete(id);
      const abort = () => {
        editor.postMessage({ type: "abort", id });
        end();
      };
      const stream = new ReadableStream({ start: (/** @type {any} */ one) => void (controller = one), cancel: abort });
      init.signal?.addEventListener("abort", () => {
        abort();
        const error = new DOMException("The request was ended.", "AbortError");
        try { controller.error(error); } catch { /* it has ended */ }
        reject(error);
      });
      waiting.set(id, (message) => {
        if (message.type === "head") {
          const empty = [204, 205, 304].includes(message.status);
          resolve(new Response(empty ? null : stream, { status: message.status, headers: message.headers }));
        } else if (message.type === "part") {
          controller.enqueue(new Uint8Array(message.part));
        } else {
          end();
          if (message.type === "end") controller.close();
          else controller.error(new TypeError(message.message));
          reject(new TypeError(message.message));
        }
      });
      editor.postMessage({ type: "fetch", id, method: init.method ?? "GET", path: url.pathname + url.search, headers: Object.fromEntries(new Headers(init.headers ?? {})), body });
    });
  };

  class Events extends EventTarget {
    /** @param {string} url */
    constructor(url) {
      super();
      this.readyState = 0;
      this.onopen = this.onerror = /** @type {null | ((event: Event) => void)} */ (null);
      this.abort = new AbortController();
      this.read(url);
    }

    /** @param {string} url */
    async read(url) {
      try {
        const response = await fetch(url, { headers: { Accept: "text/event-stream" }, signal: this.abort.signal });
        if (!response.ok || !response.body) throw new Error(String(response.status));
        this.readyState = 1;
        this.onopen?.(new Event("open"));
        let rest = "";
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          const blocks = (rest + value).split("\n\n");
          rest = blocks.pop() ?? "";
          blocks.forEach((block) => this.tell(block));
        }
      } catch {
        // told below
      }
      this.readyState = 2;
      if (!this.abort.signal.aborted) this.onerror?.(new Event("error"));
    }

    /** @param {string} block */
    tell(block) {
      const found = Object.fromEntries(block.split("\n").map((line) => /^(\w+): ?(.*)$/.exec(line)?.slice(1) ?? ["", ""]));
      if (found.event) this.dispatchEvent(new MessageEvent(found.event, { data: found.data ?? "null" }));
    }

    close() {
      this.readyState = 2;
      this.abort.abort();
    }
  }
  Object.assign(Events, { CONNECTING: 0, OPEN: 1, CLOSED: 2 });
  // @ts-expect-error  the part of it that the console uses
  window.EventSource = Events;

  /** @param {string} target */
  function go(target) {
    history.pushState(null, "", target);
    dispatchEvent(new PopStateEvent("popstate"));
  }

  document.addEventListener("DOMContentLoaded", () => {
    // At the body: after the console's own parts, before the editor, which would open the address elsewhere.
    document.body.addEventListener("click", (event) => {
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      if (!link) return;
      event.stopPropagation();
      if (event.defaultPrevented) return;
      if (link.hasAttribute("download") && link.protocol === "blob:") return;
      event.preventDefault();
      if (link.origin !== location.origin) editor.postMessage({ type: "open", url: link.href });
      else if (/^\/(console(\/|$)|$)/.test(link.pathname) && !link.target) go(link.pathname + link.search);
      else editor.postMessage({ type: "browser", path: link.pathname + link.search });
    });
    new MutationObserver(() => editor.postMessage({ type: "title", title: document.title })).observe(document.head, { subtree: true, childList: true, characterData: true });
  });
})();
