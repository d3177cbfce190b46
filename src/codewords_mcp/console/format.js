// Times, durations, money, sizes, and marks for characters that deceive.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const numbers = new Intl.NumberFormat("en");
const exactTime = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});
const shortDate = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const shortTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const clockTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** @typedef {string | number | Date} Moment An ISO text, milliseconds, or a Date. */

/** A count with separators. @param {number} n */
export const count = (n) => numbers.format(n);

/** "1 run", "2 runs". @param {number} n @param {string} one @param {string} [many] */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** A duration that reads at a glance. @param {number | null | undefined} ms */
export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 1) return ms <= 0 ? "0 ms" : "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < MINUTE) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < HOUR) return pair(ms, MINUTE, "min", 1000, "s");
  if (ms < DAY) return pair(ms, HOUR, "h", MINUTE, "min");
  return pair(ms, DAY, "d", HOUR, "h");
}

/** The duration of what goes on, in whole seconds. @param {number | null} ms */
export const ticking = (ms) => (ms !== null && ms < MINUTE ? `${Math.floor(ms / 1000)} s` : duration(ms));

/** @param {number} ms @param {number} large @param {string} largeName @param {number} small @param {string} smallName */
function pair(ms, large, largeName, small, smallName) {
  const whole = Math.floor(ms / large);
  const rest = Math.floor((ms % large) / small);
  return rest ? `${whole} ${largeName} ${rest} ${smallName}` : `${whole} ${largeName}`;
}

/** "5 min ago", "in 2 h"; a date where it is more than a week away. @param {Moment} moment @param {number} now */
export function relative(moment, now) {
  const distance = now - new Date(moment).getTime();
  const size = Math.abs(distance);
  if (size < 5000) return "now";
  if (size > 7 * DAY) return shortDate.format(new Date(moment));
  const words = roughly(size);
  return distance > 0 ? `${words} ago` : `in ${words}`;
}

/** @param {number} ms */
function roughly(ms) {
  if (ms < MINUTE) return `${Math.round(ms / 1000)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** The exact time in the person's zone. @param {Moment} moment */
export const exact = (moment) => exactTime.format(new Date(moment));

/** Hours, minutes and seconds in the person's zone. @param {Moment} moment */
export const clock = (moment) => clockTime.format(new Date(moment));

/** "14:05" today, else "3 Dec 14:05". @param {Moment} moment @param {number} now */
export function dayTime(moment, now) {
  const date = new Date(moment);
  const time = shortTime.format(date);
  return date.toDateString() === new Date(now).toDateString() ? time : `${shortDate.format(date)} ${time}`;
}

/** US dollars with enough digits to differ from zero. @param {number | null | undefined} usd */
export function money(usd) {
  if (usd === null || usd === undefined) return "–";
  if (usd === 0) return "$0.00";
  if (Math.abs(usd) >= 0.01) return `$${usd.toFixed(Math.abs(usd) >= 1 ? 2 : 4)}`;
  return `$${usd.toFixed(Math.min(12, 1 - Math.floor(Math.log10(Math.abs(usd)))))}`;
}

/** A size in bytes. @param {number | null | undefined} n */
export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KB", "MB", "GB", "TB"];
  let size = n;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** What `common/unseen.py` has as not seen, but for what joins and colours the signs of one emoji. */
export const DECEIVING = /(?![\t\n\u200c\u200d\ufe0e\ufe0f])[\p{C}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]/gu;
/** The same in code, where no emoji needs its joiners, and any space but the plain one, which nobody tells from it. */
export const DECEIVING_IN_CODE = new RegExp(`${DECEIVING.source}|[\u200c\u200d\ufe0e\ufe0f]|(?! )\\p{Zs}`, "gu");
const COLOURS = /\u001b\[[0-9;]*m/g;

/** Text without the escapes by which terminals colour it. @param {string} text */
export const uncoloured = (text) => (text.includes("\u001b") ? text.replace(COLOURS, "") : text);

/** The code of a character: "U+202E". @param {string} character */
export const codeOf = (character) => `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

/** Text for attributes and options: deceiving characters as their codes. @param {unknown} text */
export const visible = (text) => String(text).replace(DECEIVING, (character) => `⟨${codeOf(character)}⟩`);

/**
 * The pieces of a text: plain strings, and the codes of deceiving characters.
 * @param {string} text
 * @returns {(string | {mark: string})[]}
 */
export function pieces(text) {
  if (text.search(DECEIVING) < 0) return [text];

  const found = [];
  let end = 0;
  for (const match of text.matchAll(DECEIVING)) {
    if (match.index > end) found.push(text.slice(end, match.index));
    found.push({ mark: codeOf(match[0]) });
    end = match.index + match[0].length;
  }
  found.push(text.slice(end));
  return found;
}

/** The first characters of an id, enough to tell it from others. @param {string} id */
export const shortId = (id) => id.slice(0, 8);

/** A name made of a workflow's id, where its own is not known. @param {string} id */
export const nameOfId = (id) => {
  const words = id.replace(/_[0-9a-f]{8}$/, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

/** Whether a text is JSON. @param {string} text */
export function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
