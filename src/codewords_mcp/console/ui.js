// The one place that imports vendored libraries.
import { h, render, Fragment } from "./vendor/preact.js";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
import { batch, computed, effect, signal } from "./vendor/signals.js";
import htm from "./vendor/htm.js";

/** @typedef {import("./vendor/preact.js").Child} Child What a component may return or contain. */

export const html = htm.bind(h);
export {
  Fragment, batch, computed, effect, render, signal,
  useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState,
};

/** The library for charts, with its styles: only pages with a chart load it. */
export async function loadChart() {
  const styles = Object.assign(document.createElement("link"), { rel: "stylesheet", href: new URL("./vendor/uplot.css", import.meta.url).href });
  if (!document.querySelector(`link[href="${styles.href}"]`)) document.head.append(styles);
  return (await import("./vendor/uplot.js")).default;
}
