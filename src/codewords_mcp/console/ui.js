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

/** The code editor: only pages on which code is written or compared load it. */
export const loadEditor = () => import("./vendor/codemirror.js");
