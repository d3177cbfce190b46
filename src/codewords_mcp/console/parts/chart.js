// A chart of days: bars from zero, and a limit as the line it is. A day is read by pointing at it or by arrows.
import { html, useEffect, useRef, useState } from "../ui.js";

const HEIGHT = 180;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 20, 8, 22];
const WIDEST_BAR = 40;
/** Pixels that the date below a bar takes. */
const DATE = 56;
const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

/** @typedef {{label: string, values: number[], colour: string, shown?: number[]}} Series  `colour`: the name of a token; `shown`: what is read, where that is not the height of the bar. */

/**
 * @param {object} properties
 * @param {string} properties.label
 * @param {string[]} properties.days  Dates, the first day first.
 * @param {Series[]} properties.series  Each on top of the one before.
 * @param {number | null} [properties.line]  A limit.
 * @param {(value: number) => string} properties.format
 */
export function DayChart({ label, days: dates, series, line = null, format }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const [at, setAt] = useState(-1);
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const step = Math.max(1, width - LEFT - RIGHT) / dates.length;
  const sums = dates.map((_, day) => series.reduce((sum, { values }) => sum + values[day], 0));
  const ticks = ticksTo(Math.max(line ?? 0, ...sums), sums.every(Number.isInteger));
  const top = ticks[ticks.length - 1];
  const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const middle = (/** @type {number} */ day) => LEFT + (day + 0.5) * step;
  const reading = at < 0 ? "" : `${dateOf(dates[at])}: ${series.map(({ label: name, values, shown = values }) => `${name} ${format(shown[at])}`).join(" · ")}`;

  const move = (/** @type {PointerEvent} */ event) => {
    const left = /** @type {HTMLElement} */ (box.current).getBoundingClientRect().left;
    setAt(Math.max(0, Math.min(dates.length - 1, Math.floor((event.clientX - left - LEFT) / step))));
  };
  const onKey = (/** @type {KeyboardEvent} */ event) => {
    const now = at < 0 ? dates.length : at;
    const next = /** @type {Record<string, number>} */ ({ ArrowLeft: now - 1, ArrowRight: at + 1, Home: 0, End: dates.length - 1, Escape: -1 })[event.key];
    if (next === undefined) return;
    setAt(Math.max(-1, Math.min(dates.length - 1, next)));
    event.preventDefault();
  };

  return html`<div class="chart">
    <div ref=${box} role="img" aria-label=${label} tabindex="0" onPointerMove=${move} onPointerLeave=${() => setAt(-1)} onBlur=${() => setAt(-1)} onKeyDown=${onKey}>
      ${width > 0 && html`<svg width=${width} height=${HEIGHT} aria-hidden="true">
        ${ticks.map((tick) => html`<g class="tick"><path d=${`M${LEFT} ${y(tick)}H${width - RIGHT}`} /><text x=${LEFT - 8} y=${y(tick) + 4} text-anchor="end">${format(tick)}</text></g>`)}
        ${at >= 0 && html`<rect class="at" x=${LEFT + at * step} y=${TOP} width=${step} height=${HEIGHT - TOP - BOTTOM} />`}
        ${dates.map((_, day) => bars(series, day, middle(day), Math.min(WIDEST_BAR, step * 0.7), y))}
        ${dates.map((date, day) => (dates.length - 1 - day) % Math.ceil(DATE / step) === 0 && html`<text x=${middle(day)} y=${HEIGHT - 5} text-anchor="middle">${dateOf(date)}</text>`)}
        ${line !== null && html`<path class="limit" d=${`M${LEFT} ${y(line)}H${width - RIGHT}`} />`}
      </svg>`}
    </div>
    <p class="legend"><span class="reading" role="status">${reading}</span>${!reading && series.map(({ label: name, colour }) => html`<span class=${`of-${colour}`}>${name}</span>`)}</p></div>`;
}

const DAY_MS = 86_400_000;

/** The dates of the last days in UTC, as the API counts them. @param {number} number */
export const lastDays = (number) => Array.from({ length: number }, (_, n) => new Date(Date.now() - (number - 1 - n) * DAY_MS).toISOString().slice(0, 10));

/** @param {string} date */
const dateOf = (date) => days.format(new Date(`${date}T00:00:00Z`));

/** The parts of one day, each on top of the one before. @param {Series[]} series @param {number} day @param {number} x @param {number} width @param {(value: number) => number} y */
function bars(series, day, x, width, y) {
  let sum = 0;
  return series.map(({ values, colour }) => {
    const from = y(sum);
    sum += values[day];
    return values[day] > 0 && html`<rect x=${x - width / 2} y=${y(sum)} width=${width} height=${from - y(sum)} style=${{ fill: `var(--${colour})` }} />`;
  });
}

/** Round values from zero to the first that is not below the most. @param {number} most @param {boolean} whole  Whether only whole numbers are of use. */
function ticksTo(most, whole) {
  if (!(most > 0)) return [0, 1];
  const rough = most / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999 && (!whole || Number.isInteger(size))) ?? most;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, n) => n * step);
}
