// The coming times of all schedules, day by day.
import { exact } from "../format.js";
import { schedules as words } from "../strings_pages.js";
import { html } from "../ui.js";
import { WorkflowLink } from "./link.js";

const MOST = 24;
const dayName = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });
const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** @param {any[]} schedules @returns {[string, {at: string, schedule: any}[]][]} */
function byDay(schedules) {
  const times = schedules.filter((schedule) => !schedule.paused)
    .flatMap((schedule) => (schedule.next?.length ? schedule.next : schedule.next_at ? [schedule.next_at] : []).map((/** @type {string} */ at) => ({ at, schedule })));
  times.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const days = new Map();
  for (const entry of times.slice(0, MOST)) {
    const day = dayName.format(new Date(entry.at));
    days.set(day, [...(days.get(day) ?? []), entry]);
  }
  return [...days];
}

/** @param {{schedules: any[]}} properties */
export function Agenda({ schedules }) {
  const days = byDay(schedules);
  if (!days.length) return null;
  return html`<section class="card"><header><h2>${words.coming}</h2></header>
    ${days.map(([day, entries]) => html`<div class="agenda-day"><h3>${day}</h3><ul class="agenda">${entries.map(({ at, schedule }) => html`
      <li><time class="mono" datetime=${at} title=${exact(at)}>${time.format(new Date(at))}</time> <${WorkflowLink} id=${schedule.service_id} /></li>`)}</ul></div>`)}
  </section>`;
}
