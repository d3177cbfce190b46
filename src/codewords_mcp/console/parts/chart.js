// A chart of days: bars from zero, and the budget as the line it is.
import { html, loadChart, useEffect, useRef } from "../ui.js";

const HEIGHT = 180;

/** @typedef {{label: string, values: number[], colour: string}} Series  `colour`: the name of a token. */

/**
 * @param {object} properties
 * @param {string} properties.label
 * @param {string[]} properties.days  Dates, the first day first.
 * @param {Series[]} properties.series  Each on top of the one before.
 * @param {number | null} [properties.line]  A limit.
 * @param {(value: number) => string} properties.format
 */
export function DayChart({ label, days, series, line = null, format }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    let closed = false;
    /** @type {(() => void) | undefined} */
    let close;
    loadChart().then((Plot) => {
      if (!closed) close = draw(Plot, element, { days, series, line, format });
    });
    return () => {
      closed = true;
      close?.();
    };
  }, [JSON.stringify([days, series, line])]);
  return html`<div class="chart"><div role="img" aria-label=${label} ref=${box}></div>
    <p class="legend" aria-hidden="true">${series.map(({ label: name, colour }) => html`<span class=${`of-${colour}`}>${name}</span>`)}</p></div>`;
}

/** @param {any} Plot @param {HTMLElement} element @param {{days: string[], series: Series[], line: number | null, format: (value: number) => string}} what */
function draw(Plot, element, { days, series, line, format }) {
  const token = (/** @type {string} */ name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const stacked = series.map((_, n) => days.map((_, day) => series.slice(0, n + 1).reduce((sum, { values }) => sum + values[day], 0)));
  const axis = { stroke: token("dim"), grid: { stroke: token("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" };
  const top = Math.max(line ?? 0, ...stacked.flat(), 0) || 1;
  const plot = new Plot({
    width: element.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false },
    scales: { x: { time: true, range: (/** @type {any} */ _, /** @type {number} */ from, /** @type {number} */ to) => [from - 43_200, to + 43_200] }, y: { range: [0, top * 1.08] } },
    axes: [{ ...axis, values: "{D} {MMM}", space: 60 }, { ...axis, size: 56, values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map(format) }],
    // The tallest is drawn first, so that those below it stay in sight.
    series: [{}, ...[...series].reverse().map(({ label, colour }) => ({ label, fill: token(colour), width: 0, points: { show: false }, paths: Plot.paths.bars({ size: [0.7, 40] }) })),
      ...(line === null ? [] : [{ stroke: token("bad"), width: 1.5, dash: [6, 4], points: { show: false } }])],
  }, [days.map((day) => Date.parse(`${day}T00:00:00`) / 1000), ...stacked.reverse(), ...(line === null ? [] : [days.map(() => line)])], element);

  const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
  observer.observe(element);
  return () => {
    observer.disconnect();
    plot.destroy();
  };
}
