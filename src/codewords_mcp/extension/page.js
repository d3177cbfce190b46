// What is done inside of a page, in a world of its own beside the page's scripts. Put into a frame when it is first
// needed there. Functions answer with JSON: a value, {no: reason}, or {wait: reason} for what may still come.

(() => {
  if (globalThis.codewords) return;
  const MOST_ITEMS = 1000;
  const refs = new Map();
  let count = 0;

  const visible = (el) =>
    el.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true }) && el.getClientRects().length > 0;
  const off = (el) => el.matches(":disabled, [aria-disabled=true]");

  // {found} or why not. `all` gives every match, visible or not.
  function find({ selector, ref }, { all = false } = {}) {
    if (ref) {
      const el = refs.get(ref.replace(/^f\d+/, ""))?.deref();
      return el?.isConnected ? { found: all ? [el] : el } : { no: "stale_ref" };
    }
    let matches;
    try {
      matches = [...document.querySelectorAll(selector)];
    } catch {
      return { no: "bad_selector" };
    }
    if (all) return matches.length ? { found: matches } : { no: "no_element" };
    const found = matches.find(visible);
    return found ? { found } : { wait: matches.length ? "not_visible" : "no_element" };
  }

  function ready(step) {
    const { found, ...not } = find(step);
    if (!found) return not;
    if (off(found)) return { wait: "disabled" };
    found.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    return { found };
  }

  const fire = (el, Kind, type, more = {}) =>
    el.dispatchEvent(new Kind(type, { bubbles: true, cancelable: true, composed: true, view: window, ...more }));

  function click(step) {
    const { found: el, ...not } = ready(step);
    if (!el) return not;
    const link = el.closest("a[target], area[target]");
    if (link) link.target = "_self"; // Chrome opens no page for a script: what would open in a new one opens in this
    const box = el.getBoundingClientRect();
    const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, button: 0, detail: 1 };
    fire(el, PointerEvent, "pointerdown", { ...at, buttons: 1, isPrimary: true, pointerType: "mouse" });
    if (fire(el, MouseEvent, "mousedown", { ...at, buttons: 1 })) el.closest(FOCUSABLE)?.focus({ preventScroll: true });
    fire(el, PointerEvent, "pointerup", { ...at, isPrimary: true, pointerType: "mouse" });
    fire(el, MouseEvent, "mouseup", at);
    if (typeof el.click === "function") el.click();
    else fire(el, MouseEvent, "click", at);
    return {};
  }

  const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex], [contenteditable]:not([contenteditable=false])";
  const TEXT_INPUTS = /^(text|search|url|tel|email|password|number|)$/;
  const isField = (el) => el instanceof HTMLInputElement || el instanceof HTMLTextAreaElement;

  function type(step) {
    const { found, ...not } = ready(step);
    if (!found) return not;
    const el = isField(found) || found.isContentEditable ? found : found.querySelector("input, textarea, [contenteditable]");
    if (!el || (isField(el) && el.readOnly) || (el.type && /^(checkbox|radio|file|submit|button|image|reset)$/.test(el.type))) {
      return { no: "not_a_field" };
    }
    el.focus({ preventScroll: true });
    if (isField(el) && !TEXT_INPUTS.test(el.type) && el.type !== "textarea") setValue(el, step.text);
    else {
      if (step.clear) selectAll(el);
      else caretToEnd(el);
      write(el, step.text);
    }
    return step.submit ? press({ key: "Enter" }) : {};
  }

  // As typing does: with events that frameworks hear. A page may forbid it, then the value is set.
  function write(el, text) {
    const done = text ? document.execCommand("insertText", false, text) : document.execCommand("delete");
    if (!done && isField(el)) setValue(el, text);
  }

  function setValue(el, text) {
    const kind = el instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
    Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(el, text);
    fire(el, InputEvent, "input", { inputType: "insertText", data: text, view: null });
    fire(el, Event, "change");
  }

  function selectAll(el) {
    if (isField(el)) el.select();
    else getSelection().selectAllChildren(el);
  }

  function caretToEnd(el) {
    if (!isField(el)) {
      getSelection().selectAllChildren(el);
      getSelection().collapseToEnd();
    } else if (el.type !== "number" && el.type !== "email") el.setSelectionRange(el.value.length, el.value.length);
  }

  function select(step) {
    const { found: el, ...not } = ready(step);
    if (!el) return not;
    if (!(el instanceof HTMLSelectElement)) return { no: "not_a_select" };
    const options = [...el.options];
    const shown = (option) => option.label.trim() === step.value.trim();
    const option = options.find((one) => one.value === step.value) ?? options.find(shown);
    if (!option) return { wait: "no_option" };
    el.focus({ preventScroll: true });
    if (el.multiple) option.selected = true;
    else el.value = option.value;
    fire(el, Event, "input");
    fire(el, Event, "change");
    return {};
  }

  const KEYS = new Set(
    "Enter Tab Escape Backspace Delete ArrowUp ArrowDown ArrowLeft ArrowRight Home End PageUp PageDown Space".split(" "),
  );

  function press(step) {
    const named = { Return: "Enter", Esc: "Escape", " ": "Space" }[step.key] ?? step.key;
    if (named.length > 1 && !KEYS.has(named)) return { no: "bad_key" };
    let el = document.activeElement ?? document.body;
    if (step.selector || step.ref) {
      const { found, ...not } = ready(step);
      if (!found) return not;
      found.focus({ preventScroll: true });
      el = found;
    }
    const key = named === "Space" ? " " : named;
    const code = named.length > 1 ? named : /[a-z]/i.test(named) ? `Key${named.toUpperCase()}` : "";
    const event = { key, code };
    if (fire(el, KeyboardEvent, "keydown", event)) usual(el, named);
    fire(document.activeElement ?? el, KeyboardEvent, "keyup", event);
    return {};
  }

  // What a browser does for a key that a page leaves to it; keys of scripts do nothing by themselves.
  function usual(el, key) {
    const editable = el.isContentEditable || (isField(el) && TEXT_INPUTS.test(el.type === "textarea" ? "" : el.type));
    if (key === "Enter" && el instanceof HTMLInputElement) return submit(el.form);
    if (key === "Enter" && editable) return document.execCommand("insertText", false, "\n");
    if ((key === "Enter" || key === "Space") && el.matches("a[href], button, summary, input, [role=button]")) {
      if (!editable) return el.click();
    }
    if (key === "Tab") return moveFocus(el);
    if (key === "Backspace") return editable && document.execCommand("delete");
    if (key === "Delete") return editable && document.execCommand("forwardDelete");
    if (editable) return key.length === 1 || key === "Space" ? write(el, key === "Space" ? " " : key) : undefined;
    const page = innerHeight * 0.9;
    const by = { ArrowUp: -40, ArrowDown: 40, PageUp: -page, PageDown: page, Space: page, Home: -1e7, End: 1e7 }[key];
    if (by) scrollBy({ top: by, behavior: "instant" });
  }

  function submit(form) {
    if (!form) return;
    const button = form.querySelector("button:not([type=button]):not([type=reset]), input[type=submit], input[type=image]");
    if (button) button.click();
    else form.requestSubmit();
  }

  function moveFocus(el) {
    const all = [...document.querySelectorAll(FOCUSABLE)].filter((one) => visible(one) && !off(one) && one.tabIndex >= 0);
    all[(all.indexOf(el) + 1) % all.length]?.focus();
  }

  function scroll(step) {
    if (step.selector || step.ref) {
      const { found, ...not } = ready(step);
      return found ? {} : not;
    }
    const by = step.amount ?? innerHeight;
    const to = { down: scrollY + by, up: scrollY - by, top: 0, bottom: document.documentElement.scrollHeight };
    scrollTo({ top: to[step.direction], behavior: "instant" });
    return {};
  }

  function appeared(step) {
    const { found, ...not } = find(step);
    return found ? {} : not;
  }

  function extract(step) {
    const whole = !step.selector && !step.ref;
    const { found = [document.body ?? document.documentElement], ...not } = whole ? {} : find(step, { all: true });
    if (not.no) return not.no === "no_element" ? { wait: "no_element" } : not;
    const read = (el) => (step.attribute ? el.getAttribute(step.attribute) : (el.innerText ?? el.textContent ?? ""));
    const items = found.slice(0, MOST_ITEMS).map(read).filter((one) => one !== null);
    if (!items.length) return { wait: "no_element" };
    return { items: items.map((one) => one.trim()) };
  }

  function extract_html(step) {
    if (step.selector || step.ref) {
      const { found, ...not } = find(step, { all: true });
      return found ? { html: found[0].outerHTML } : not.no === "no_element" ? { wait: "no_element" } : not;
    }
    const doctype = document.doctype ? `${new XMLSerializer().serializeToString(document.doctype)}\n` : "";
    return { html: doctype + document.documentElement.outerHTML };
  }

  const back = () => (setTimeout(() => history.back()), {});

  const measure = () => ({
    view: innerHeight,
    height: Math.max(document.documentElement.scrollHeight, innerHeight),
    at: scrollY,
  });
  const moveTo = (top) => (scrollTo({ top, behavior: "instant" }), { at: scrollY });

  // The page as an outline, for a reader that cannot see it.

  const ROLES = {
    A: (el) => el.hasAttribute("href") && "link", BUTTON: "button", SUMMARY: "button", TEXTAREA: "textbox", H1: "heading",
    H2: "heading", H3: "heading", H4: "heading", H5: "heading", H6: "heading", IMG: "img", NAV: "navigation", MAIN: "main",
    UL: "list", OL: "list", LI: "listitem", TABLE: "table", TR: "row", TD: "cell", TH: "columnheader", FORM: "form",
    DIALOG: "dialog", OPTION: "option", FOOTER: "contentinfo", HEADER: "banner", ARTICLE: "article", P: "paragraph",
    SELECT: (el) => (el.multiple || el.size > 1 ? "listbox" : "combobox"),
    INPUT: (el) =>
      ({ checkbox: "checkbox", radio: "radio", range: "slider", number: "spinbutton", search: "searchbox", submit: "button",
        button: "button", reset: "button", image: "button", hidden: null })[el.type] ?? (el.type === "hidden" ? null : "textbox"),
  };
  const ACTS = /^(link|button|textbox|searchbox|checkbox|radio|slider|spinbutton|combobox|listbox|option|tab|menuitem|switch)$/;
  const SAID_WHOLE = /^(link|button|heading|option|tab|menuitem|switch|cell|columnheader|paragraph)$/;
  const SKIPPED = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE", "HEAD", "LINK", "META"]);

  const flat = (text) => (text ?? "").replace(/\s+/g, " ").trim();

  function roleOf(el) {
    const given = el.getAttribute("role");
    if (given && given !== "presentation" && given !== "none") return given.split(" ")[0];
    const role = ROLES[el.tagName];
    if (typeof role === "function") return role(el) || null;
    return role ?? (el.isContentEditable && !el.parentElement?.isContentEditable ? "textbox" : null);
  }

  function nameOf(el, role) {
    const ids = flat(el.getAttribute("aria-labelledby")).split(" ").filter(Boolean);
    const labelled = ids.map((id) => flat(el.getRootNode().getElementById?.(id)?.innerText)).join(" ");
    const labels = () => [...(el.labels ?? [])].map((label) => flat(label.innerText)).join(" ");
    const shown = () => (el.tagName === "INPUT" ? (role === "button" ? el.value : "") : saidWhole(el, role) ? flat(el.innerText) : "");
    return labelled || flat(el.getAttribute("aria-label")) || labels() || flat(el.alt) || shown()
      || flat(el.getAttribute("placeholder")) || flat(el.title) || "";
  }

  // Whether all that an element shows is its name, so that nothing in it needs a line of its own.
  const saidWhole = (el, role) => SAID_WHOLE.test(role) && (ACTS.test(role) || !el.querySelector(FOCUSABLE));

  function stateOf(el, role) {
    const states = [];
    if (role === "heading") states.push(`level=${el.getAttribute("aria-level") ?? el.tagName.slice(1)}`);
    if (el.checked || el.getAttribute("aria-checked") === "true") states.push("checked");
    if (off(el)) states.push("disabled");
    if (el.getAttribute("aria-expanded") === "true") states.push("expanded");
    if (el.selected || el.getAttribute("aria-selected") === "true") states.push("selected");
    return states.map((state) => ` [${state}]`).join("");
  }

  function valueOf(el, role) {
    if (el.type === "password") return el.value ? "(filled in)" : "";
    if (role === "combobox" && el.selectedOptions) return flat(el.selectedOptions[0]?.label);
    if (el.isContentEditable) return flat(el.innerText);
    return /^(textbox|searchbox|spinbutton|slider)$/.test(role) ? flat(el.value) : "";
  }

  function snapshot(limit) {
    refs.clear();
    const lines = [];
    let size = 0;
    const full = () => size > limit;
    const say = (depth, text) => {
      const line = `${"  ".repeat(depth)}- ${text}`;
      lines.push(line);
      size += line.length + 1;
    };
    const inside = (el) =>
      el.tagName === "SLOT" && el.assignedNodes().length
        ? el.assignedNodes()
        : ((globalThis.chrome?.dom?.openOrClosedShadowRoot?.(el) ?? el.shadowRoot) || el).childNodes;

    function walk(node, depth) {
      if (full()) return;
      if (node.nodeType === Node.TEXT_NODE) {
        const text = flat(node.data);
        if (text) say(depth, `text: ${text}`);
        return;
      }
      if (node.nodeType !== Node.ELEMENT_NODE || SKIPPED.has(node.tagName) || node.ariaHidden === "true") return;
      if (!node.checkVisibility({ visibilityProperty: true }) && getComputedStyle(node).display !== "contents") return;
      const role = roleOf(node);
      if (!role) return inside(node).forEach((child) => walk(child, depth));
      const acts = ACTS.test(role) || node.hasAttribute("onclick") || node.tabIndex >= 0;
      const name = nameOf(node, role);
      const value = valueOf(node, role);
      let ref = "";
      if (acts) {
        const id = `e${++count}`;
        refs.set(id, new WeakRef(node));
        ref = ` [ref=${id}]`;
      }
      say(depth, `${role}${name ? ` ${JSON.stringify(name)}` : ""}${stateOf(node, role)}${ref}${value ? `: ${value}` : ""}`);
      if (/^(combobox|listbox)$/.test(role) && node.options) return options(node, depth + 1);
      if (/^(textbox|searchbox|img|slider)$/.test(role)) return;
      if (!name || !saidWhole(node, role)) inside(node).forEach((child) => walk(child, depth + 1));
    }

    function options(list, depth) {
      for (const option of list.options) {
        if (full()) return;
        say(depth, `option ${JSON.stringify(flat(option.label))}${option.selected ? " [selected]" : ""}`);
      }
    }

    walk(document.body ?? document.documentElement, 0);
    return { url: location.href, title: document.title, text: lines.join("\n"), truncated: full() };
  }

  globalThis.codewords = {
    click, type, select, press, scroll, back, appeared, extract, extract_html, measure, moveTo, snapshot,
    where: () => ({ url: location.href, title: document.title }),
  };
})();
