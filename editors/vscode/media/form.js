// The form of a route: what is typed goes to the extension, what was answered comes back.
"use strict";
(() => {
  // @ts-expect-error  what a webview has
  const editor = acquireVsCodeApi();
  const form = /** @type {HTMLFormElement} */ (document.getElementById("form"));
  const answer = /** @type {HTMLElement} */ (document.getElementById("answer"));
  const cancel = /** @type {HTMLButtonElement} */ (document.getElementById("cancel"));

  /** @param {string} tag @param {Record<string, any>} properties @param {(Node | string)[]} children */
  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = Object.fromEntries([...form.elements].filter((one) => "name" in one && one.name)
      .map((one) => [/** @type {any} */ (one).name, /** @type {any} */ (one).type === "checkbox" ? /** @type {any} */ (one).checked : /** @type {any} */ (one).value]));
    editor.postMessage({ type: "submit", typed });
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  cancel.addEventListener("click", () => editor.postMessage({ type: "cancel" }));

  addEventListener("message", ({ data }) => {
    cancel.hidden = data.type !== "running";
    answer.hidden = false;
    if (data.type === "running") {
      answer.replaceChildren(element("p", { className: "quiet", textContent: "Running …" }));
      return;
    }
    const head = element("p", { className: data.ok ? "good" : "bad" }, data.status ? `${data.ok ? "Answered" : "Failed"} ${data.status} in ${data.ms} ms` : "It did not run");
    if (data.run) {
      const open = element("button", { type: "button", className: "link", textContent: "Open the run" });
      open.addEventListener("click", () => editor.postMessage({ type: "open", run: data.run }));
      head.append(" · ", open);
    }
    const writes = data.writes.length
      ? [element("h2", { textContent: `Held, not sent: ${data.writes.length}` }), element("ul", {}, ...data.writes.map((/** @type {string} */ one) => element("li", { textContent: one })))]
      : [];
    answer.replaceChildren(head, element("pre", { tabIndex: 0, textContent: data.text }), ...writes);
  });
  /** @type {HTMLElement | null} */ (form.querySelector("input, textarea, select, button"))?.focus();
})();
